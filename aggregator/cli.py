"""The `aggregator` command, also mounted as `roommood aggregator`."""

import typer

from roommood.shared.process.command import VersionOption, new_app, run_app
from roommood.shared.process.settings import AggregatorSettings
from roommood.shared.process.settings.options import with_settings

app = new_app()


@app.command()
@with_settings(AggregatorSettings)
def aggregator(settings: AggregatorSettings, version: VersionOption = False) -> None:
    """Count the workers' results, each exactly once, into per-room statistics in Redis.

    Example: `aggregator --bind 127.0.0.1:5700 --redis redis://127.0.0.1:6379/0`
    """
    from roommood.shared.process import logs

    logs.setup(settings.log_format, settings.log_level, "aggregator")

    from roommood.aggregator.aggregator import Aggregator
    from roommood.aggregator.counting.store import Store

    store = Store(settings.redis_url, settings.redis_password_file, settings.min_people)
    raise typer.Exit(Aggregator(settings, store).run())


def main() -> None:
    run_app(app)
