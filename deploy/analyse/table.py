"""People and expressions by second, for people and for programs."""

import csv
import io
from collections.abc import Sequence

from rich.table import Table

from roommood.deploy.analyse.run import Second
from roommood.shared.protocol.emotions import EXPRESSIONS


def as_table(seconds: Sequence[Second]) -> Table:
    """A row a second, and one for the whole."""
    table = Table("time", "people", *EXPRESSIONS, title="Expressions shown")
    for column in table.columns:
        column.justify = "right"
    for second in seconds:
        table.add_row(f"{second.at_s // 60}:{second.at_s % 60:02d}", *_cells(second))
    table.add_section()
    table.add_row("all", *_cells(_whole(seconds)))
    return table


def as_csv(seconds: Sequence[Second]) -> str:
    """A line a second; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["second", "frames", "people", "sure_faces", *EXPRESSIONS])
    for second in seconds:
        people = "" if second.people is None else f"{second.people:.3f}"
        shares = [f"{share:.4f}" for share in (second.shares or {}).values()]
        row = [second.at_s, second.frames, people, second.sure]
        writer.writerow([*row, *(shares or [""] * len(EXPRESSIONS))])
    return text.getvalue()


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
