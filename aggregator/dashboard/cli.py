"""The `roommood dashboard` command: the live page and the JSON API."""

from roommood.shared.process.command import VersionOption, new_app, run_app
from roommood.shared.process.settings import DashboardSettings
from roommood.shared.process.settings.options import with_settings

app = new_app()


@app.command()
@with_settings(DashboardSettings)
def dashboard(settings: DashboardSettings, version: VersionOption = False) -> None:
    """Serve the rooms as a live page, and as JSON under /api. It only reads.

    Example: `roommood dashboard --redis redis://127.0.0.1:6379/0`
    """
    from roommood.shared.process import logs

    logs.setup(settings.log_format, settings.log_level, "dashboard")

    from roommood.aggregator.dashboard.server import serve

    serve(settings)


def main() -> None:
    run_app(app)
