"""What both views have in common: how a table looks, and lines of CSV and JSON."""

import csv
import io
import json
import os
from pathlib import Path
from typing import Any, Final

from rich.table import Table

_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")


def new_table(*columns: str) -> Table:
    """Narrow enough for 80 characters."""
    table = Table(title="Expressions shown", box=None, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, justify="right")
    return table


def csv_line(*cells: object) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def json_line(value: dict[str, Any]) -> str:
    return json.dumps(value, allow_nan=False) + "\n"


def as_text(path: Path) -> str:
    """A name that every program reads: bytes that are no UTF-8 are written as escapes, and what a
    spreadsheet would compute as a formula begins with "./"."""
    name = os.fsencode(path).decode("utf-8", "backslashreplace")
    return f"./{name}" if name.startswith(_FORMULAS) else name


def printable(path: Path) -> str:
    """What no terminal shows, as a line's end in a name, is written as an escape."""
    name = str(path)
    return name if name.isprintable() else ascii(name)[1:-1]
