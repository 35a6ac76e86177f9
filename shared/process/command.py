"""What the commands have in common: options, error output, version."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from roommood.shared.errors import RoommoodError
from roommood.shared.process.runtime import release

SETTINGS_PANEL: Final = "Settings and logs"
KEYS_PANEL: Final = "Who may take part"

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", envvar="ROOMMOOD_CONFIG", help="TOML file with settings.",
        show_default="none", rich_help_panel=SETTINGS_PANEL,
    ),
]  # fmt: skip
LogFormatOption = Annotated[
    str | None,
    typer.Option(
        envvar="ROOMMOOD_LOG_FORMAT", help="text for people, json for machines.",
        metavar="text|json", show_default="text", rich_help_panel=SETTINGS_PANEL,
    ),
]  # fmt: skip
LogLevelOption = Annotated[
    str | None,
    typer.Option(
        envvar="ROOMMOOD_LOG_LEVEL", help="Least severe line to log.",
        metavar="debug|info|warning|error", show_default="info", rich_help_panel=SETTINGS_PANEL,
    ),
]  # fmt: skip
MetricsPortOption = Annotated[
    int | None,
    typer.Option(
        envvar="ROOMMOOD_METRICS_PORT", help="Serve /metrics, /healthz and /readyz at this port.",
        show_default="not served", rich_help_panel=SETTINGS_PANEL,
    ),
]  # fmt: skip
MetricsHostOption = Annotated[
    str | None,
    typer.Option(
        envvar="ROOMMOOD_METRICS_HOST", help="Interface on which metrics are served.",
        show_default="127.0.0.1", rich_help_panel=SETTINGS_PANEL,
    ),
]  # fmt: skip
DrainOption = Annotated[
    float | None,
    typer.Option(
        "--drain-s", envvar="ROOMMOOD_DRAIN_S",
        help="Seconds that SIGTERM gives to finish what is under way.",
        show_default="5", rich_help_panel=SETTINGS_PANEL,
    ),
]  # fmt: skip
KeysOption = Annotated[
    Path | None,
    typer.Option(
        "--keys", envvar="ROOMMOOD_KEYS", metavar="PATH",
        help="Folder with this machine's keys, or a camera's key file: see `roommood keys`.",
        show_default="none", rich_help_panel=KEYS_PANEL,
    ),
]  # fmt: skip
InsecureOption = Annotated[
    bool | None,
    typer.Option(
        "--insecure", envvar="ROOMMOOD_INSECURE",
        help="Talk to other machines without keys, so unencrypted and with anyone who asks.",
        show_default="off", rich_help_panel=KEYS_PANEL,
    ),
]  # fmt: skip


def new_app(**more: Any) -> typer.Typer:
    """A typer app whose help is Markdown and answers to -h too; `more` as `typer.Typer` takes."""
    names = {"help_option_names": ["-h", "--help"]}
    return typer.Typer(rich_markup_mode="markdown", context_settings=names, **more)


def print_version(wanted: bool) -> None:
    """Callback of `--version`: prints the release and ends the command."""
    if wanted:
        typer.echo(f"roommood {release()}")
        raise typer.Exit


VersionOption = Annotated[
    bool,
    typer.Option(
        "--version", callback=print_version, is_eager=True, help="Print the version and exit."
    ),
]


def fail(error: RoommoodError) -> int:
    """Prints an error for a person; returns the exit code that goes with it."""
    typer.echo(f"error: {error}", err=True)
    return error.exit_code


def run_app(app: Callable[[], object]) -> None:
    """Runs a typer app; an error of ours is one clear line, not a traceback."""
    try:
        app()
    except RoommoodError as error:
        sys.exit(fail(error))
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        typer.echo(f'error: this needs {error.name}: pip install "roommood[{extra}]"', err=True)
        sys.exit(1)


_EXTRAS: Final = {
    "cv2": "camera",
    "numpy": "camera",
    "onnxruntime": "worker",
    "redis": "aggregator",
    "paho": "mqtt",
    "nicegui": "dashboard",
    "fastapi": "dashboard",
    "uvicorn": "dashboard",
    "starlette": "dashboard",
    "jinja2": "dashboard",
    "pyinfra": "deploy",
    "zeroconf": "discovery",
    "torch": "training",
    "onnx": "training",
    "onnxscript": "training",
    "matplotlib": "training",
}
