"""The `roommood dashboard` command: the live page and the JSON API."""

from pathlib import Path
from typing import Annotated, Final

import typer

from roommood.aggregator.dashboard.settings import DEFAULT_BIND
from roommood.aggregator.redis.client import DEFAULT_URL
from roommood.aggregator.redis.options import PasswordOption, RedisOption
from roommood.shared.process.command import (
    LogFormatOption,
    LogLevelOption,
    VersionOption,
    new_app,
    run_app,
)

_WHO: Final = "Who may look"

app = new_app()


@app.command()
def dashboard(
    bind: Annotated[
        str,
        typer.Option(
            envvar="ROOMMOOD_DASHBOARD_BIND", metavar="HOST:PORT", rich_help_panel=_WHO,
            help="Where the page is served.",
        ),
    ] = DEFAULT_BIND,
    password_file: Annotated[
        Path | None,
        typer.Option(
            envvar="ROOMMOOD_DASHBOARD_PASSWORD_FILE", show_default="none",
            rich_help_panel=_WHO,
            help="File (mode 0600) whose first line is the password that the page asks for.",
        ),
    ] = None,
    behind_proxy: Annotated[
        bool,
        typer.Option(
            "--behind-proxy", envvar="ROOMMOOD_DASHBOARD_BEHIND_PROXY", rich_help_panel=_WHO,
            help="A server in front of this one decides who may look.",
        ),
    ] = False,
    redis: RedisOption = DEFAULT_URL,
    redis_password_file: PasswordOption = None,
    log_format: LogFormatOption = None,
    log_level: LogLevelOption = None,
    version: VersionOption = False,
) -> None:  # fmt: skip
    """Serve the rooms as a live page, and as JSON under /api. It only reads.

    Example: `roommood dashboard --redis redis://127.0.0.1:6379/0`
    """
    from roommood.shared.process import logs

    logs.setup(log_format or "text", log_level or "info", "dashboard")

    from roommood.aggregator.dashboard.server import serve
    from roommood.aggregator.dashboard.settings import DashboardSettings

    serve(DashboardSettings(bind, redis, redis_password_file, password_file, behind_proxy))


def main() -> None:
    run_app(app)
