"""What the commands have in common: options, error output, version."""

import sys
from collections.abc import Callable
from typing import Annotated, Any, Final

import typer

from roommood.shared.errors import ConfigError, RoommoodError
from roommood.shared.process.origin import how_to_install
from roommood.shared.process.runtime import release


def new_app(**more: Any) -> typer.Typer:
    """A typer app whose help is Markdown and answers to -h too; `more` as `typer.Typer` takes."""
    names = {"help_option_names": ["-h", "--help"]}
    return typer.Typer(rich_markup_mode="markdown", context_settings=names, **more)


def print_version(is_asked: bool) -> None:
    """Callback of `--version`: prints the release and ends the command."""
    if is_asked:
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
        _refuse_32_bits()
        app()
    except RoommoodError as error:
        sys.exit(fail(error))
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        typer.echo(f"error: this needs {error.name}: {how_to_install(extra)}", err=True)
        sys.exit(1)


def _refuse_32_bits() -> None:
    if sys.maxsize < 2**32:
        raise ConfigError(
            "this Python is one of 32 bits, and roommood needs 64: on a Raspberry Pi 3 or later, "
            "flash Raspberry Pi OS (64-bit)"
        )


_EXTRAS: Final = {
    "cv2": "camera",
    "numpy": "camera",
    "onnxruntime": "worker",
    "pydantic": "worker",
    "redis": "aggregator",
    "paho": "mqtt",
    "apprise": "notify",
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
