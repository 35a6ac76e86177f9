"""The faces of pictures, for people and for programs.

What is not known is empty in CSV and null in JSON.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from roommood.deploy.analyse.lines import as_text, csv_line, json_line, new_table, printable
from roommood.deploy.analyse.pictures import PictureFaces
from roommood.shared.protocol.emotions import EXPRESSIONS

_COLUMNS: Final = (
    "picture", "picture_width", "picture_height", "faces", "face",
    "left", "top", "width", "height", "score", "sure", "dominant",
)  # fmt: skip


def as_table(pictures: Sequence[PictureFaces]) -> Table:
    """A row a face; a picture without any has one as well."""
    table = new_table("picture", "face", "box", "shows", "surely")
    table.columns[0].justify = "left"
    for picture in pictures:
        name = Text(printable(picture.path))
        if picture.faces is None:
            table.add_row(name, "-", "", Text("cannot be used"), "")
        elif not picture.faces:
            table.add_row(name, "none", "", "", "")
        for number, face in enumerate(picture.faces or (), start=1):
            left, top, width, height = face.box
            shows = f"{face.dominant} {face.expressions[face.dominant]:.0%}"
            box = f"{width}x{height} at {left},{top}"
            table.add_row(name, str(number), box, shows, "yes" if face.sure else "no")
    return table


def as_csv(pictures: Iterable[PictureFaces]) -> Iterator[str]:
    """A header, then a line a face; a picture without any, or with a problem, has one as well."""
    yield csv_line(*_COLUMNS, *EXPRESSIONS, "problem")
    for picture in pictures:
        known = picture.faces is not None
        name = as_text(picture.path)
        whole = [name, picture.width, picture.height, len(picture.faces or ())]
        start = whole if known else [name, "", "", ""]
        for number, face in enumerate(picture.faces or (), start=1):
            likely = [f"{value:.4f}" for value in face.expressions.values()]
            sure = str(face.sure).lower()
            rest = (number, *face.box, f"{face.score:.4f}", sure, face.dominant)
            yield csv_line(*start, *rest, *likely, "")
        if not picture.faces:
            blank = [""] * (len(_COLUMNS) - len(start) + len(EXPRESSIONS))
            yield csv_line(*start, *blank, picture.problem)


def as_json(pictures: Iterable[PictureFaces]) -> Iterator[str]:
    """An object a picture, each on a line; `faces` is null where there is a `problem`."""
    for picture in pictures:
        value = dataclasses.asdict(picture)
        if picture.faces is not None:
            value["faces"] = [
                {"dominant": face.dominant} | dataclasses.asdict(face) for face in picture.faces
            ]
        yield json_line({"picture": as_text(value.pop("path"))} | value)
