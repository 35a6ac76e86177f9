"""People and expressions by second, for people and for programs.

What is not known is empty in CSV and null in JSON.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich.table import Table

from roommood.deploy.analyse.lines import csv_line, json_line, new_table
from roommood.deploy.analyse.run import Second
from roommood.shared.protocol.emotions import EXPRESSIONS

_SECOND_COLUMNS: Final = ("second", "frames", "people", "sure_faces")


def as_table(seconds: Sequence[Second]) -> Table:
    """A row a second, and one for the whole."""
    table = new_table("time", "people", *EXPRESSIONS)
    for second in seconds:
        table.add_row(f"{second.at_s // 60}:{second.at_s % 60:02d}", *_cells(second))
    table.add_section()
    table.add_row("all", *_cells(_whole(seconds)))
    return table


def as_csv(seconds: Iterable[Second]) -> Iterator[str]:
    """A header, then a line a second."""
    yield csv_line(*_SECOND_COLUMNS, *EXPRESSIONS)
    for second in seconds:
        people = "" if second.people is None else f"{second.people:.3f}"
        shares = [f"{share:.4f}" for share in (second.shares or {}).values()]
        row = [second.at_s, second.frames, people, second.sure]
        yield csv_line(*row, *(shares or [""] * len(EXPRESSIONS)))


def as_json(seconds: Iterable[Second]) -> Iterator[str]:
    """An object a second, each on a line."""
    for second in seconds:
        values = (second.at_s, second.frames, second.people, second.sure)
        yield json_line(dict(zip(_SECOND_COLUMNS, values, strict=True)) | {"shares": second.shares})


def _cells(second: Second) -> list[str]:
    people = "-" if second.people is None else f"{second.people:.1f}"
    shares = second.shares or {}
    return [people, *(f"{shares[name]:.0%}" if shares else "-" for name in EXPRESSIONS)]


def _whole(seconds: Sequence[Second]) -> Second:
    whole = Second(0)
    for second in seconds:
        whole.frames += second.frames
        whole.faces += second.faces
        whole.sure += second.sure
        whole.sums = [sum(pair) for pair in zip(whole.sums, second.sums, strict=True)]
    return whole
