"""What the commands have in common: options, error output, version."""

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Final

import typer

from roommood.shared.errors import ConfigError, RoommoodError
from roommood.shared.process.atomic_file import require_folder, require_replaceable
from roommood.shared.process.logs import printable
from roommood.shared.process.origin import how_to_install
from roommood.shared.process.runtime import release
from roommood.shared.security.secret_urls import holds_password, redacted, without_passwords


def new_app(**more: Any) -> typer.Typer:
    """A typer app whose help is Markdown and answers to -h too; `more` as `typer.Typer` takes.

    A traceback of it has no values, as typer's had until 0.22: a password may be among them.
    """
    names = {"help_option_names": ["-h", "--help"]}
    return typer.Typer(
        rich_markup_mode="markdown",
        context_settings=names,
        pretty_exceptions_show_locals=False,
        **more,
    )


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


def output_file(path: Path | None) -> Path | None:
    """Callback of an option that names a file to write. Raises ConfigError before hours of work are
    lost for what cannot be one."""
    if path is not None:
        require_replaceable(path)
    return path


def output_folder(path: Path | None) -> Path | None:
    """The same of a folder."""
    if path is not None:
        require_folder(path)
    return path


def fail(error: RoommoodError) -> int:
    """Prints an error for a person; returns the exit code that goes with it."""
    lines = _without_given_passwords(str(error)).split("\n")
    typer.echo("error: " + "\n".join(map(printable, lines)), err=True)
    return error.exit_code


def run_app(app: Callable[[], object]) -> None:
    """Runs a typer app; an error of ours, or of the file system, is one clear line, not a
    traceback. Nor is Ctrl-C, which ends with exit code 130.
    """
    interrupts: list[int] = []
    with _interruptible(interrupts):
        _run_app(app, interrupts)


@contextmanager
def _interruptible(interrupts: list[int]) -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt inside, and is noted; where it is ignored it stays so."""

    def interrupt(number: int, _: FrameType | None) -> None:
        interrupts.append(number)
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _run_app(app: Callable[[], object], interrupts: Sequence[int]) -> None:
    try:
        _open_what_is_closed()
        _write_what_the_terminal_lacks_as_escapes()
        _refuse_32_bits()
        _call(app)
    except RoommoodError as error:
        sys.exit(fail(error))
    except OSError as error:
        sys.exit(_fail_of_system(error))
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except RuntimeError as error:
        if str(error) != _HOMELESS:
            raise
        why = "this user has no home directory: set HOME, or name each folder"
        sys.exit(fail(ConfigError(why)))
    except ImportError as error:
        if interrupts:  # a library that was interrupted while it loads may say that it is broken
            sys.exit(_INTERRUPTED)
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        extra = _EXTRAS.get((missing or "").partition(".")[0])
        if extra is None:
            raise
        typer.echo(f"error: this needs {error.name}: {how_to_install(extra)}", err=True)
        sys.exit(1)


def _call(app: Callable[[], object]) -> None:
    """As typer does by itself, but for its own errors: they repeat what was given."""
    if not isinstance(app, typer.Typer):
        app()
        return
    try:
        code = app(standalone_mode=False)
    except _TYPERS_ERROR as error:
        from typer.rich_utils import rich_format_error

        if hasattr(error, "message"):
            error.message = _without_given_passwords(error.message)
        rich_format_error(error)
        sys.exit(error.exit_code)
    except typer.Abort:
        typer.echo("Aborted.", err=True)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _without_given_passwords(text: str) -> str:
    """Also where one holds what ends an address in a sentence: a quote, or a space."""
    for word in sys.argv[1:]:
        value = word.partition("=")[2] if word.startswith("-") else word
        if holds_password(value):
            for written in (value, repr(value)[1:-1], str(Path(value))):
                text = text.replace(written, redacted(value))
    return without_passwords(text)


def _open_what_is_closed() -> None:
    """A standard descriptor that is closed would be the number of the next socket or file, which is
    then written to. An output that is closed takes nothing; a closed error output loses what it is
    given."""
    for number, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:  # the lowest that is free is this one
            os.set_inheritable(os.open(os.devnull, flags), True)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)


def _write_what_the_terminal_lacks_as_escapes() -> None:
    """Names of files that are no UTF-8 go out as they are; a terminal of another alphabet shows
    `\\u2026` where it lacks a letter."""
    if isinstance(sys.stdout, TextIOWrapper):
        is_utf8 = sys.stdout.encoding.replace("-", "").lower() == "utf8"
        sys.stdout.reconfigure(errors="surrogateescape" if is_utf8 else "backslashreplace")


def _fail_of_system(error: OSError) -> int:
    """Tells of a file that cannot be used, or of an output that takes no more.

    Any other failure of the system is one of ours, and goes on with its traceback.
    """
    if isinstance(error.filename, str | bytes | os.PathLike):
        name = printable(_without_given_passwords(os.fsdecode(error.filename)))
        typer.echo(f"error: {name}: {error.strerror}", err=True)
    elif error.errno in _OUTPUT_FULL:
        typer.echo(f"error: the output takes no more: {error.strerror}", err=True)
        # What is left of it would fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    else:
        raise error
    return 1


def _refuse_32_bits() -> None:
    if sys.maxsize < 2**32:
        raise ConfigError(
            "this Python is one of 32 bits, and roommood needs 64: on a Raspberry Pi 3 or later, "
            "flash Raspberry Pi OS (64-bit)"
        )


# Of click, which some releases of typer have inside.
_TYPERS_ERROR: Final[Any] = typer.BadParameter.__mro__[2]
_INTERRUPTED: Final = 130
_HOMELESS: Final = "Could not determine home directory."  # pathlib, of a path that begins with ~
_OUTPUT_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
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
