"""What both views have in common: how a table looks, and lines of CSV and JSON."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from rich.table import Table


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


def printable(path: Path) -> str:
    """What no terminal shows, as a line's end in a name, is written as an escape."""
    name = str(path)
    return name if name.isprintable() else ascii(name)[1:-1]
