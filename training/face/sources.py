"""The photographs that the detector learns from, each with what the teacher and the annotators
see in it.

Layout of the data folder: faces-boxes/{images,annotations}, portraits/images,
single-faces/images, no-faces/images, ferplus/FER2013Train, rooms/images; a source that is not
there is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from roommood.training.face.data import (
    Faces,
    Floats,
    HandLabels,
    Picture,
    iou_matrix,
    pictures,
    read_voc,
    split,
)
from roommood.training.face.teacher import Detector, View, label

HAND_SHARE = 0.3
WALLS_PREFIX = "frame"  # of the rooms' pictures whose walls and tables may be backdrops
MATCH_IOU = 0.35
SURE_SCORE = 0.9
# Looked at by eye: the pictures of no-faces with people in them. What the teacher sees in the
# others (kings on playing
# cards, raccoons, a dog) is no face.
PEOPLE_AMONG_NO_FACES = frozenset(
    f"{number:04d}.jpg"
    for number in (
        28,
        188,
        365,
        369,
        370,
        404,
        431,
        434,
        444,
        446,
        447,
        453,
        454,
        455,
        456,
        463,
        467,
        470,
        481,
        482,
    )
)


@dataclass(frozen=True)
class Source:
    """One folder of photographs: where, how the teacher should look at them, whether a fifth is
    kept out."""

    name: str
    folder: str
    views: tuple[View, ...]
    keeps_out: bool = False
    annotations: str = ""


def _both_ways(scale: float, border: float) -> tuple[View, View]:
    return View(scale, False, border), View(scale, True, border)


SOURCES = (
    Source(
        "faces-boxes",
        "faces-boxes/images",
        (View(1.0), *_both_ways(1.6, 0.0), View(2.5)),
        keeps_out=True,
        annotations="faces-boxes/annotations",
    ),
    Source("portraits", "portraits/images", (*_both_ways(1.0, 0.4), View(1.6, False, 0.2))),
    Source("single-faces", "single-faces/images", (View(0.5, False, 0.3), View(0.8, True, 0.3))),
    Source("no-faces", "no-faces/images", (View(1.0), View(0.6), View(1.5, True)), keeps_out=True),
    Source("ferplus", "ferplus/FER2013Train", _both_ways(2.0, 0.4)),
    Source("rooms", "rooms/images", (View(1.0),), annotations="rooms/annotations-person"),
)


def source(name: str) -> Source:
    """The source of that name."""
    return next(item for item in SOURCES if item.name == name)


def training_pictures(root: Path, item: Source) -> list[Path]:
    """The pictures of a source that may be trained on."""
    paths = pictures(root / item.folder)
    return list(split(paths).train) if item.keeps_out else paths


def held_out_pictures(root: Path, item: Source) -> list[Path]:
    """The pictures of a source that are never trained on."""
    return list(split(pictures(root / item.folder)).held_out)


def label_source(
    root: Path, item: Source, paths: Iterable[Path], teacher: Detector, progress: Callable[[], None]
) -> dict[str, Faces]:
    """Label pictures with the teacher, and with the annotators' boxes where there are some."""
    labels: dict[str, Faces] = {}
    for path in paths:
        faces = label(teacher, read_picture(path), item.views)
        if item.annotations and item.name != "rooms":
            faces = combine(read_voc(root / item.annotations / f"{path.stem}.xml"), faces)
        labels[path.name] = faces
        progress()
    return labels


def combine(hand: HandLabels, seen: Faces) -> Faces:
    """Join hand-drawn boxes with the teacher's faces.

    A face that both have keeps the teacher's landmarks and, mostly, its box (annotators start at
    the brows, the teacher at the hair), and is sure; one that only annotators have has no
    landmarks; the teacher's others stay.
    """
    overlap = iou_matrix(hand.boxes, seen.boxes)
    result, used = Faces.none(), np.zeros(len(seen), bool)
    for i, box in enumerate(hand.boxes):
        best = int(overlap[i].argmax()) if len(seen) else -1
        if best < 0 or overlap[i, best] < MATCH_IOU or used[best]:
            result = result.joined(_hand_only(box))
            continue
        used[best] = True
        result = result.joined(_agreed(box, seen.where(np.array([best]))))
    return result.joined(seen.where(~used))


def _agreed(box: Floats, face: Faces) -> Faces:
    boxes = (1 - HAND_SHARE) * face.boxes + HAND_SHARE * box[None]
    return Faces(
        boxes.astype(np.float32), face.landmarks, np.maximum(face.scores, np.float32(SURE_SCORE))
    )


def _hand_only(box: Floats) -> Faces:
    unknown = np.full((1, 5, 2), np.nan, np.float32)
    return Faces(box[None], unknown, np.array([SURE_SCORE], np.float32))


def read_picture(path: Path) -> Picture:
    """A picture as BGR (H, W, 3)."""
    import cv2

    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{path}: not a picture that can be read")
    return np.asarray(picture, np.uint8)
