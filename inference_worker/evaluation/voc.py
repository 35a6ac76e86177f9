"""Photographs with boxes in the folder layout of Pascal VOC (Everingham et al. 2010).

`images/` holds the pictures, `annotations/` an XML file of the same stem for each. Every box is
a face, whatever its label; a picture without annotation file shows no face.
"""

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from roommood.inference_worker.evaluation.pictures import read_picture
from roommood.inference_worker.vision.opencv import Picture, cv2
from roommood.shared.errors import ConfigError

Boxes = NDArray[np.float32]

IMAGES: Final = "images"
ANNOTATIONS: Final = "annotations"
_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
_ROOT: Final = "annotation"
_CORNERS: Final = ("xmin", "ymin", "xmax", "ymax")
# EXIF orientation is ignored, as it is for a camera's frames.
_FLAGS: Final = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


@dataclass(frozen=True, slots=True)
class Annotation:
    """The true faces of a picture: `boxes` (N, 4) left, top, right, bottom in pixels, each with
    its label; those marked `difficult` count neither as found nor as missed."""

    boxes: Boxes
    labels: tuple[str, ...]
    difficult: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Photograph:
    """A picture's file and its true faces."""

    path: Path
    faces: Annotation

    def read(self) -> Picture:
        """(H, W, 3) BGR. Raises PictureError."""
        return read_picture(self.path, _FLAGS)


def is_voc(data: Path) -> bool:
    return (data / IMAGES).is_dir()


def read_photographs(data: Path, limit: int | None = None) -> list[Photograph]:
    """All photographs of a folder, by name. Raises ConfigError, naming the file at fault."""
    for folder in (IMAGES, ANNOTATIONS):
        if not (data / folder).is_dir():
            raise ConfigError(
                f"{data}: it has no {folder}/: VOC data has {IMAGES}/ and {ANNOTATIONS}/"
            )
    paths = [path for path in _files(data / IMAGES) if path.suffix.lower() in _SUFFIXES]
    if not paths:
        raise ConfigError(f"{data / IMAGES}: no picture ({', '.join(sorted(_SUFFIXES))}) there")
    annotations = _annotations(data, {path.stem for path in paths})
    photographs = [Photograph(path, _faces(annotations.get(path.stem))) for path in paths[:limit]]
    if not any(len(photograph.faces.boxes) for photograph in photographs):
        sys.stderr.write(
            f"note: {data / ANNOTATIONS} tells of no face: only mistakes are counted\n"
        )
    return photographs


def _files(folder: Path) -> list[Path]:
    """By name, without hidden ones, such as macOS puts beside each (`._a.jpg`)."""
    return sorted(path for path in folder.iterdir() if path.name[0] != "." and path.is_file())


def _annotations(data: Path, stems: set[str]) -> dict[str, Path]:
    """By the stem of their picture."""
    paths = [path for path in _files(data / ANNOTATIONS) if path.suffix.lower() == ".xml"]
    for path in paths:
        if path.stem not in stems:
            raise ConfigError(f"{path}: its picture is missing from {data / IMAGES}")
    return {path.stem: path for path in paths}


def _faces(annotation: Path | None) -> Annotation:
    return read_annotation(annotation) if annotation else _annotation([], [])


def read_annotation(path: Path) -> Annotation:
    """What one XML file says. Raises ConfigError, naming the place at fault."""
    objects = _objects(path)
    boxes = [_box(path, number, item) for number, item in enumerate(objects, 1)]
    return _annotation(objects, boxes)


def _annotation(objects: list[ElementTree.Element], boxes: list[list[float]]) -> Annotation:
    return Annotation(
        np.array(boxes, np.float32).reshape(-1, 4),
        tuple(item.findtext("name", "face").strip() for item in objects),
        np.array([_is_difficult(item) for item in objects], np.bool_),
    )


def _is_difficult(item: ElementTree.Element) -> bool:
    return item.findtext("difficult", "0").strip().lower() in ("1", "true", "yes")


def _objects(annotation: Path) -> list[ElementTree.Element]:
    try:
        root = ElementTree.parse(annotation).getroot()
    except OSError as error:
        raise ConfigError(f"{annotation}: cannot be read: {error.strerror}") from error
    except ElementTree.ParseError as error:
        line, column = error.position
        raise ConfigError(
            f"{annotation}, line {line}, column {column}: not XML: {error}"
        ) from error
    if root.tag != _ROOT:  # what another layout has would pass for a picture without faces
        raise ConfigError(
            f"{annotation}: it begins with <{root.tag}>, Pascal VOC with <{_ROOT}>: convert it"
        )
    return root.findall("object")


def _box(annotation: Path, number: int, item: ElementTree.Element) -> list[float]:
    texts = [item.findtext(f"bndbox/{corner}", "missing") for corner in _CORNERS]
    try:
        left, top, right, bottom = map(float, texts)
    except ValueError:
        left = top = right = bottom = 0.0
    if not (-math.inf < left < right < math.inf and -math.inf < top < bottom < math.inf):
        shown = ", ".join(f"{name} {text}" for name, text in zip(_CORNERS, texts, strict=True))
        raise ConfigError(f"{annotation}, object {number}: its bndbox is no box: {shown}")
    return [left, top, right, bottom]
