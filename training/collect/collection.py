"""A folder of labelled face crops, `<expression>/*.jpg`, as `collect` writes it.

A file's name tells when its session began and which picture of it this is, never who it shows.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from roommood.camera_node.sources.endings import NOT_TAKEN, PICTURE_SUFFIXES
from roommood.inference_worker.vision.opencv import Picture, cv2
from roommood.shared.errors import ConfigError, PictureError
from roommood.shared.opencv import file_name
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.training.collect.labels import expression_named

DESCRIPTION: Final = "collection.json"
# Sets of face crops often come in parts; what training calls them.
SPLIT_OF: Final = (
    dict.fromkeys(("train", "training"), "FER2013Train")
    | dict.fromkeys(("valid", "validation", "val", "dev", "publictest"), "FER2013Valid")
    | dict.fromkeys(("test", "testing", "privatetest"), "FER2013Test")
)
# Of the classifier's crop, on each side: what training needs to move and turn faces.
MARGIN: Final = 0.25
_JPEG_QUALITY: Final = 95
_SESSION: Final = re.compile(r"(\d{8}T\d{6}-[0-9a-f]{4})-\d{5}\.jpg")


@dataclass(frozen=True)
class Kept:
    """One picture that was kept, and its label."""

    path: Path
    expression: str


class Collection:
    """Keeps crops under their labels for one session; `counts` are of the whole folder."""

    def __init__(self, folder: Path, session: str) -> None:
        """Raises ConfigError where the folder's crops were cut with another margin."""
        self.folder = folder
        self.session = session
        self.counts = count(folder)
        self._number = 0
        _check_margin(folder)

    def keep(self, expression: str, crop: Picture) -> Kept:
        """Write one crop; gives what `drop` takes back. Raises PictureError."""
        folder = self.folder / expression
        folder.mkdir(parents=True, exist_ok=True)
        _write_description(self.folder)
        path = folder / f"{self.session}-{self._number:05d}.jpg"
        if not cv2.imwrite(file_name(path), crop, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]):
            raise PictureError(f"{path} cannot be written: is there room, may you write there?")
        self._number += 1
        self.counts[expression] += 1
        return Kept(path, expression)

    def drop(self, kept: Kept) -> None:
        """Undo one `keep`."""
        kept.path.unlink(missing_ok=True)
        self.counts[kept.expression] -= 1


def session_name(now: datetime, random: int) -> str:
    """A name for a session that begins `now`; `random` (0..65535) tells apart those of a second."""
    return f"{now:%Y%m%dT%H%M%S}-{random:04x}"


def session_of(name: str) -> str | None:
    """The session in a file's name, or None for a picture that `collect` did not write."""
    match = _SESSION.fullmatch(name)
    return match[1] if match else None


def labelled_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every picture below `folder`/<class>/ with its expression, in a fixed order; hidden files
    and folders are left out.

    Raises ConfigError for a class that is not known, naming the nearest, for no class at all, and
    for a kind of picture that cannot be read.
    """
    named = [(_expression_of(path), path) for path in folders_in(folder)]
    if not named:
        raise ConfigError(f"{folder} has no folder for any expression, such as happiness/")
    for expression, path in named:
        yield from ((expression, file) for file in _pictures_below(path))


def folders_in(folder: Path) -> list[Path]:
    """The folders in it by name, without hidden ones and what macOS puts into a zip beside them.

    Raises ConfigError where it is none.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder: give one with a folder for each expression")
    paths = sorted(path for path in folder.iterdir() if path.is_dir())
    return [path for path in paths if path.name[0] != "." and path.name != "__MACOSX"]


def count(folder: Path) -> dict[str, int]:
    """Pictures for each expression; all zero for a folder that is not there or empty."""
    counts = dict.fromkeys(EXPRESSIONS, 0)
    if folder.is_dir() and any(path.is_dir() for path in folder.iterdir()):
        for expression, _ in labelled_files(folder):
            counts[expression] += 1
    return counts


def margin_of(folder: Path) -> float:
    """How much more than the classifier's crop the pictures show on each side, in crop sides.

    0 where `collect` did not write the folder: then every picture is taken for the crop itself.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        return 0.0
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["margin"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(f"{path} does not tell the margin: {error!r}") from error


def _expression_of(path: Path) -> str:
    if path.name.lower() in SPLIT_OF:
        raise ConfigError(
            f"{path} is a part of a set, no expression: give the folder that holds the folders of "
            "the expressions, or join the parts with `roommood-train import folders`"
        )
    try:
        return expression_named(path.name)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _pictures_below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if any(part[0] == "." for part in path.relative_to(folder).parts):
            continue
        if path.suffix.lower() in NOT_TAKEN:
            raise ConfigError(f"{path} cannot be read: {NOT_TAKEN[path.suffix.lower()]}")
        if path.suffix.lower() in PICTURE_SUFFIXES:
            yield path


def _check_margin(folder: Path) -> None:
    if any(count(folder).values()) and margin_of(folder) != MARGIN:
        raise ConfigError(
            f"{folder} holds pictures that were not cut by this release's `collect`: "
            "collect into another folder"
        )


def _write_description(folder: Path) -> None:
    path = folder / DESCRIPTION
    if not path.is_file():
        path.write_text(json.dumps({"margin": MARGIN}) + "\n", encoding="utf-8")
