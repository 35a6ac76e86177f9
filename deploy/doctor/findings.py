"""What `roommood doctor` finds, and how it is told."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from typing import Final

from roommood.shared.errors import RoommoodError
from roommood.shared.process.origin import how_to_install


class Level(StrEnum):
    """How bad it is. Only FAIL makes the doctor's exit code 1."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `todo` says what to do where something is wrong."""

    level: Level
    about: str
    found: str
    todo: str = ""


Findings = Iterable[Finding]

_COLOURS: Final = {
    Level.OK: "green",
    Level.WARN: "yellow",
    Level.FAIL: "bold red",
    Level.SKIPPED: "dim",
}


def ok(about: str, text: str) -> Finding:
    return Finding(Level.OK, about, text)


def warn(about: str, text: str, todo: str) -> Finding:
    return Finding(Level.WARN, about, text, todo)


def fail(about: str, text: str, todo: str = "") -> Finding:
    return Finding(Level.FAIL, about, text, todo)


def skipped(about: str, why: str) -> Finding:
    return Finding(Level.SKIPPED, about, why)


def checked(
    about: str, check: Callable[[], Findings], needs: tuple[str, ...], extra: str
) -> Iterator[Finding]:
    """What a check finds; skipped without its modules. An error of ours is a failure."""
    missing = [module for module in needs if find_spec(module) is None]
    if missing:
        what = ", ".join(missing)
        yield skipped(about, f"needs {what}: {how_to_install(extra)}")
        return
    try:
        yield from check()
    except RoommoodError as error:
        yield fail(about, str(error))


def show(findings: Findings) -> bool:
    """Prints each as it comes; returns whether none failed."""
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True)
    levels = []
    for finding in findings:
        levels.append(finding.level)
        line = Text.assemble(
            (f"{finding.level:<8}", _COLOURS[finding.level]),
            (f"{finding.about}: ", "bold"),
            finding.found,
        )
        console.print(line)
        if finding.todo:
            console.print(Text(f"{'':8}→ {finding.todo}"))
    counts = (f"{levels.count(level)} {level}" for level in Level if level in levels)
    console.print(f"\n{', '.join(counts)}", highlight=False)
    return Level.FAIL not in levels
