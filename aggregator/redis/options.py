"""Options that several commands have: which Redis, its password, and of which room."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

_REDIS_PANEL: Final = "Redis"


def redis_url_option(help_text: str, panel: str = _REDIS_PANEL, **more: Any) -> Any:
    """`--redis`, for a command that says something else of it; `more` as `typer.Option` takes."""
    return typer.Option(
        "--redis", envvar="ROOMMOOD_REDIS_URL", rich_help_panel=panel, help=help_text, **more
    )


def redis_password_option(help_text: str, panel: str = _REDIS_PANEL) -> Any:
    """`--redis-password-file`, likewise."""
    return typer.Option(
        "--redis-password-file", envvar="ROOMMOOD_REDIS_PASSWORD_FILE", show_default="none",
        rich_help_panel=panel, help=help_text,
    )  # fmt: skip


RedisOption = Annotated[
    str,
    redis_url_option(
        "redis://USER@HOST:PORT/0, rediss://...?ca_file=FILE (TLS) or unix://PATH; "
        "?cluster=true for a Cluster.",
        metavar="URL",
    ),
]
PasswordOption = Annotated[
    Path | None, redis_password_option("File whose first line is the password.")
]
RoomArgument = Annotated[str, typer.Argument(metavar="ROOM", help="Name of the room.")]
