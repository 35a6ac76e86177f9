"""The `aggregator` command, also mounted as `roommood aggregator`."""

from pathlib import Path
from typing import Annotated, Final

import typer

from roommood.aggregator.redis.options import redis_password_option, redis_url_option
from roommood.shared.process.command import (
    ConfigOption,
    DrainOption,
    InsecureOption,
    KeysOption,
    LogFormatOption,
    LogLevelOption,
    MetricsHostOption,
    MetricsPortOption,
    VersionOption,
    new_app,
    run_app,
)

_NETWORK: Final = "Network"
_PRIVACY: Final = "Privacy"

app = new_app()


@app.command()
def aggregator(
    bind: Annotated[
        str | None,
        typer.Option(
            envvar="ROOMMOOD_AGGREGATOR_BIND",
            help="host:port at which workers reach this aggregator.",
            show_default="127.0.0.1:5700",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    keys: KeysOption = None,
    insecure: InsecureOption = None,
    redis: Annotated[
        str | None,
        redis_url_option(
            "redis://USER@HOST:PORT/0, rediss://...?ca_file=FILE (TLS) or unix://PATH; never "
            "with a password.",
            show_default="redis://127.0.0.1:6379/0",
        ),
    ] = None,
    redis_password_file: Annotated[
        Path | None,
        redis_password_option("File, for its owner only, whose first line is the password."),
    ] = None,
    min_people: Annotated[
        int | None,
        typer.Option(
            envvar="ROOMMOOD_AGGREGATOR_MIN_PEOPLE",
            help="Faces that a frame must show for its expressions to be written at all.",
            show_default="1",
            rich_help_panel=_PRIVACY,
        ),
    ] = None,
    drain_s: DrainOption = None,
    metrics_port: MetricsPortOption = None,
    metrics_host: MetricsHostOption = None,
    config: ConfigOption = None,
    log_format: LogFormatOption = None,
    log_level: LogLevelOption = None,
    version: VersionOption = False,
) -> None:
    """Count the workers' results, each exactly once, into per-room statistics in Redis.

    Example: `aggregator --bind 127.0.0.1:5700 --redis redis://127.0.0.1:6379/0`
    """
    given = {
        "bind": bind,
        "keys": keys,
        "insecure": insecure,
        "redis_url": redis,
        "redis_password_file": redis_password_file,
        "min_people": min_people,
        "drain_s": drain_s,
        "metrics_port": metrics_port,
        "metrics_host": metrics_host,
        "log_format": log_format,
        "log_level": log_level,
    }
    from roommood.shared.process import logs
    from roommood.shared.process.settings import AggregatorSettings, load

    settings = load(AggregatorSettings, config, given)
    logs.setup(settings.log_format, settings.log_level, "aggregator")

    from roommood.aggregator.aggregator import Aggregator
    from roommood.aggregator.counting.store import Store

    store = Store(settings.redis_url, settings.redis_password_file, settings.min_people)
    raise typer.Exit(Aggregator(settings, store).run())


def main() -> None:
    run_app(app)
