"""The rows of results.json as a page to read."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

Line = Mapping[str, Any]


def rendered(rows: Sequence[Line], machine: Mapping[str, str], versions: Mapping[str, str]) -> str:
    """Markdown: the machine, what missed its bar, a table for each benchmark."""
    return "\n".join(_lines(rows, machine, versions)) + "\n"


def _lines(
    rows: Sequence[Line], machine: Mapping[str, str], versions: Mapping[str, str]
) -> Iterator[str]:
    yield "# Measured"
    yield ""
    yield "Written by `make bench` (`python -m benchmarks`), not by hand. What was tried to"
    yield "get here stands in `docs/performance.md`."
    yield ""
    yield from _facts(machine)
    yield ""
    yield ", ".join(f"{name} {number}" for name, number in versions.items())
    yield ""
    yield from _summary(rows)
    for name, run in groupby(rows, lambda row: str(row["benchmark"])):
        yield ""
        yield from _section(name, list(run))


def _facts(machine: Mapping[str, str]) -> Iterator[str]:
    for name, value in machine.items():
        yield f"- {name}: {value}"


def _summary(rows: Iterable[Line]) -> Iterator[str]:
    barred = [row for row in rows if row["bar"]]
    missed = [row["name"].strip() for row in barred if not row["held"]]
    yield f"{len(barred) - len(missed)} of {len(barred)} bars are held."
    if missed:
        yield ""
        yield "Missed: " + "; ".join(missed) + "."


def _section(name: str, rows: Sequence[Line]) -> Iterator[str]:
    first = rows[0]
    quick = " --quick" if first["quick"] else ""
    yield f"## {name.replace('_', ' ').capitalize()}"
    yield ""
    yield f"`python -m benchmarks.{name}{quick}`, {first['at']}, load at its start {first['load']}."
    yield ""
    yield "| What | Value | Unit | Bar | | Beside |"
    yield "| --- | ---: | --- | --- | --- | --- |"
    for row in rows:
        yield _row(row)
    for note in dict.fromkeys(_notes(rows)):
        yield ""
        yield note


def _row(row: Line) -> str:
    verdict = "" if not row["bar"] else "held" if row["held"] else "**missed**"
    beside = "; ".join(f"{who} {number(value)}" for who, value in row["beside"].items())
    cells = (row["name"].strip(), number(row["value"]), row["unit"], row["bar"], verdict, beside)
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def _notes(rows: Sequence[Line]) -> Iterator[str]:
    for row in rows:
        if row["note"]:
            yield f"{row['name'].strip()}: {row['note']}."


def number(value: float) -> str:
    """Three digits that count, and thousands in groups."""
    if value and abs(value) < 1:
        return f"{value:.3f}"
    if abs(value) < 10:
        return f"{value:.2f}"
    return f"{value:.1f}" if abs(value) < 100 else f"{value:,.0f}"
