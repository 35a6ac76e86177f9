"""Public sets into the layout that training reads: FER2013 with FER+ votes, folders by class.

A folder appears as a whole or not at all.
"""

import csv
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from roommood.inference_worker.evaluation.ferplus import SIDE_PX, VOTE_COLUMNS
from roommood.shared.errors import ConfigError
from roommood.shared.opencv import file_name
from roommood.shared.process.progress import Progress, no_progress
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.training.collect.collection import SPLIT_OF, folders_in, labelled_files, margin_of
from roommood.training.collect.tight import check_tight
from roommood.training.expression.ferplus import Pictures
from roommood.training.expression.own_pictures import centre, read_face

FOLDERS: Final = {
    "Training": "FER2013Train",
    "PublicTest": "FER2013Valid",
    "PrivateTest": "FER2013Test",
}
_TRAIN, _VALID = FOLDERS["Training"], FOLDERS["PublicTest"]
_BOX: Final = f"(0, 0, {SIDE_PX}, {SIDE_PX})"
_VOTES: Final = 10
_CSV_VOTES: Final = (*(name.lower() for name in EXPRESSIONS), "unknown", "nf")
_REPORT_EVERY: Final = 200

Row = dict[str, str]
Counts = dict[str, int]


@dataclass(frozen=True)
class _Labelled:
    """A picture of a folder by class; `split` is None where it is to be chosen."""

    split: str | None
    expression: str
    path: Path
    margin: float


@dataclass(frozen=True)
class _Place:
    """A row of a file, for errors."""

    path: Path
    line: int

    def error(self, text: str) -> ConfigError:
        return ConfigError(f"{self.path}, line {self.line}: {text}")


def import_fer2013(
    pixels: Path, votes: Path, out: Path, progress: Progress = no_progress
) -> Counts:
    """Pictures of FER2013 under the votes of FER+, as three splits in `out`; gives their sizes.

    `pixels` is Kaggle's fer2013.csv or icml_face_data.csv, `votes` Microsoft's fer2013new.csv,
    whose rows are of the same pictures in the same order; pictures without a name there show
    no face and are left out.

    Raises ConfigError with file and line where they do not match; then nothing is written.
    """
    total = _lines(pixels) - 1
    written: dict[str, list[str]] = {name: [] for name in FOLDERS.values()}
    with whole_folder(out) as partial:
        for name in written:
            (partial / name).mkdir()
        for number, (picture, named) in enumerate(_pairs(pixels, votes)):
            if picture is not None:
                _write(partial / named[0] / named[1], picture)
                written[named[0]].append(f'{named[1]},"{_BOX}",{named[2]}\n')
            if number % _REPORT_EVERY == 0:
                progress(number, total)
        for name, rows in written.items():
            (partial / name / "label.csv").write_text("".join(rows), encoding="utf-8")
        progress(total, total)
    return {name: len(rows) for name, rows in written.items()}


def import_folders(
    source: Path, out: Path, valid_percent: int = 10, progress: Progress = no_progress
) -> dict[str, Counts]:
    """Pictures below `source`/<class>/ as FER+ splits Train and Valid in `out`; gives how many of
    each expression.

    Each picture gets ten votes for its class, is turned gray and scaled to 48x48, without the
    margin where `collect` wrote it. About `valid_percent` of them, chosen by content, go to Valid.
    Where `source` comes in parts (`train`/<class>/, `test`/<class>/), these stay apart: `test`
    goes to Valid, or to Test where there is a `valid` as well.

    Raises ConfigError for an unknown class, a file that is no picture, and whole photographs;
    nothing is written then.
    """
    files = [file for split, part in _parts(source) for file in _labelled(split, part)]
    if not files:
        raise ConfigError(f"{source}: its folders hold no picture")
    splits = {_TRAIN, _VALID} | {file.split for file in files if file.split}
    counts = {split: dict.fromkeys(EXPRESSIONS, 0) for split in sorted(splits)}
    written: dict[str, list[str]] = {split: [] for split in counts}
    with whole_folder(out) as partial:
        for split in written:
            (partial / split).mkdir()
        for number, file in enumerate(files):
            picture = centre(read_face(file.path, file.margin))
            is_aside = _hash(picture) % 100 < valid_percent
            split = file.split or (_VALID if is_aside else _TRAIN)
            name = f"{file.expression}-{number:06d}.png"
            _write(partial / split / name, picture)
            written[split].append(f'{name},"{_BOX}",{_votes_for(file.expression)}\n')
            counts[split][file.expression] += 1
            progress(number + 1, len(files))
        for split, rows in written.items():
            (partial / split / "label.csv").write_text("".join(rows), encoding="utf-8")
    return counts


def _parts(source: Path) -> list[tuple[str | None, Path]]:
    """The folders of a set with the split of each; None where that is to be chosen."""
    parts = {path: SPLIT_OF.get(path.name.lower()) for path in folders_in(source)}
    named = set(parts.values())
    if _TRAIN not in named:
        return [(None, source)]
    strange = [path for path, split in parts.items() if split is None]
    if strange:
        raise ConfigError(f"{strange[0]}: beside train/ only valid/ and test/ may lie")
    if named == {_TRAIN}:
        return [(None, path) for path in parts]
    as_valid = None if _VALID in named else _VALID
    return [
        (split if split == _TRAIN else as_valid or split, path) for path, split in parts.items()
    ]


def _labelled(split: str | None, folder: Path) -> list[_Labelled]:
    files = list(labelled_files(folder))
    margin = margin_of(folder)
    if not margin:
        check_tight(folder, [path for _, path in files])
    return [_Labelled(split, expression, path, margin) for expression, path in files]


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A new folder beside `out` that becomes `out` at the end, and goes away on an error."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is there already: give a folder that is new or empty")
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if out.exists():
        out.rmdir()
    partial.rename(out)


def _pairs(pixels: Path, votes: Path) -> Iterator[tuple[Pictures | None, tuple[str, str, str]]]:
    """For each row: the picture (None if it is left out), and its split, name and votes."""
    needed = ("usage", "image name", *_CSV_VOTES)
    rows = zip_longest(_rows(pixels, ("usage", "pixels")), _rows(votes, needed))
    for left, right in rows:
        if left is None or right is None:
            short, (place, _) = (pixels, right) if left is None else (votes, left)
            raise place.error(f"{short.name} has no row for it: both describe the same pictures")
        (here, face), (there, label) = left, right
        if face["usage"] != label["usage"]:
            raise there.error(
                f"its usage is {label['usage']!r}, but {here.path.name}, line {here.line} has "
                f"{face['usage']!r}: the files are not of the same pictures in the same order"
            )
        if face["usage"] not in FOLDERS:
            raise here.error(f"usage {face['usage']!r} is none of {', '.join(FOLDERS)}")
        name = label["image name"]
        named = (FOLDERS[face["usage"]], name, _vote_cells(label, there))
        yield (_picture(face["pixels"], here) if _checked(name, there) else None), named


def _rows(path: Path, needed: tuple[str, ...]) -> Iterator[tuple[_Place, Row]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.reader(lines)
            head = [cell.strip().lower() for cell in next(reader, [])]
            missing = [name for name in needed if name not in head]
            if missing:
                raise _Place(path, 1).error(f"no column {missing[0]!r}; it has {', '.join(head)}")
            for cells in reader:
                place = _Place(path, reader.line_num)
                if len(cells) != len(head):
                    raise place.error(f"{len(cells)} columns, {len(head)} are due")
                yield place, dict(zip(head, map(str.strip, cells), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} is not a readable CSV file: {error}") from error


def _checked(name: str, place: _Place) -> bool:
    """Whether a row names a picture; raises ConfigError for a name that is no plain file name."""
    if name and (Path(name).name != name or Path(name).suffix != ".png"):
        raise place.error(f"the image name {name!r} is not a plain name with .png")
    return bool(name)


def _vote_cells(label: Row, place: _Place) -> str:
    cells = [label[name] for name in _CSV_VOTES]
    if not all(cell.isdecimal() for cell in cells):
        raise place.error(f"votes are whole numbers, not {cells}")
    return ",".join(cells)


def _picture(text: str, place: _Place) -> Pictures:
    try:
        values = np.array(text.split(), dtype=np.int64)
    except ValueError as error:
        raise place.error(f"a pixel is not a number: {error}") from error
    if values.size != SIDE_PX * SIDE_PX or values.min() < 0 or values.max() > 255:
        raise place.error(f"{values.size} pixels; {SIDE_PX * SIDE_PX} of 0 to 255 are due")
    return values.astype(np.uint8).reshape(SIDE_PX, SIDE_PX)


def _write(path: Path, picture: Pictures) -> None:
    if not cv2.imwrite(file_name(path), picture):
        raise ConfigError(f"{path} cannot be written: is there room, may you write there?")


def _votes_for(expression: str) -> str:
    return ",".join(str(_VOTES if name == expression else 0) for name in VOTE_COLUMNS)


def _hash(picture: Pictures) -> int:
    return zlib.crc32(picture.tobytes())


def _lines(path: Path) -> int:
    if not path.is_file():
        raise ConfigError(f"{path}: no such file")
    with path.open("rb") as lines:
        return sum(1 for _ in lines)
