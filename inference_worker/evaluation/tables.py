"""Tables of labels as spreadsheets, scripts and Windows write them."""

import codecs
import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from roommood.shared.errors import ConfigError
from roommood.shared.text_file import decode_text, why

# Excel writes semicolons where the comma is in numbers; in Unicode, tabs and UTF-16.
_DELIMITERS: Final = (",", ";", "\t")


def rows_of(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file with the line in which each ends, cells without spaces around them;
    empty lines are left out.

    Cells are separated by that of comma, semicolon and tab which its first line has most of.
    Raises ConfigError for what cannot be read as one.
    """
    text = _text(path)
    first = next(filter(str.strip, text.splitlines()), "")
    table = csv.reader(
        io.StringIO(text, newline=""), delimiter=max(_DELIMITERS, key=first.count), strict=True
    )
    try:
        for row in table:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield table.line_num, cells
    except csv.Error as error:
        raise ConfigError(f"{path}, line {table.line_num}: not a row of CSV: {error}") from error


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return data.decode("utf-16") if is_utf16 else decode_text(data)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {why(error)}") from error
