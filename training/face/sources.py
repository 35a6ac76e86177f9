"""The photographs that the detector learns from, each with what the teacher and the annotators
see in it.

Layout of the data folder: faces-boxes/{images,annotations}, portraits/images,
single-faces/images, no-faces/images, people/images, things/images, ferplus/FER2013Train,
rooms/images; a source that is not there is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from roommood.inference_worker.evaluation.average_precision import iou_matrix
from roommood.inference_worker.evaluation.voc import read_annotation
from roommood.shared.errors import ConfigError
from roommood.training.face.agree import agree, empty_of_people
from roommood.training.face.data import Faces, Floats, Picture, pictures, split
from roommood.training.face.teacher import Detector, Teacher, View, label

HAND_SHARE = 0.3
WALLS_PREFIX = "frame"  # of the rooms' pictures whose walls and tables may be backdrops
MATCH_IOU = 0.35
SURE_SCORE = 0.9
SECOND_VIEWS = (View(1.0), View(1.0, True))
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
    kept out.

    Of a folder with pictures of several origins, told by how their names begin, those that begin
    with one of `judged_by` are kept out whole; `animals` are the beginnings of those on which a
    teacher may take an animal for a person.
    """

    name: str
    folder: str
    views: tuple[View, ...]
    keeps_out: bool = False
    annotations: str = ""
    judged_by: tuple[str, ...] = ()
    animals: tuple[str, ...] = ()
    shows_people: bool = True


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
    Source(
        "people",
        "people/images",
        (View(1.0), View(1.6, True), View(2.2)),
        judged_by=("coco_", "mmpose_", "u2net_", "compreface_"),
        animals=("voc_",),
    ),
    Source(
        "things",
        "things/images",
        (View(1.0), View(1.6, True)),
        judged_by=("house_", "kitchen_"),
        animals=("",),
        shows_people=False,
    ),
    Source("rooms", "rooms/images", (View(1.0),), annotations="rooms/annotations-person"),
)


def source(name: str) -> Source:
    """The source of that name."""
    return next(item for item in SOURCES if item.name == name)


def training_pictures(root: Path, item: Source) -> list[Path]:
    """The pictures of a source that may be trained on: not those that root/leave-out.txt names."""
    paths = pictures(root / item.folder)
    if item.judged_by:
        paths = [path for path in paths if not path.name.startswith(item.judged_by)]
    elif item.keeps_out:
        paths = list(split(paths).train)
    barred = left_out(root)
    return [path for path in paths if f"{item.name}/{path.name}" not in barred]


def left_out(root: Path) -> frozenset[str]:
    """SOURCE/NAME of each line of root/leave-out.txt, if there is one: source, tab, path."""
    path = root / "leave-out.txt"
    lines = path.read_text().splitlines() if path.is_file() else []
    fields = [line.split("\t") for line in lines if "\t" in line]
    return frozenset(f"{source.removesuffix('.zip')}/{Path(at).name}" for source, at in fields)


def held_out_pictures(root: Path, item: Source) -> list[Path]:
    """The pictures of a source that are never trained on."""
    paths = pictures(root / item.folder)
    if item.judged_by:
        return [path for path in paths if path.name.startswith(item.judged_by)]
    return list(split(paths).held_out)


def label_source(
    root: Path,
    item: Source,
    paths: Iterable[Path],
    teacher: Detector,
    progress: Callable[[], None],
    second: Teacher | None = None,
) -> dict[str, Faces]:
    """Label pictures with the teacher, and with the annotators' boxes where there are some.

    The pictures that ask for two teachers need the second: ConfigError without.
    """
    if item.judged_by and second is None:
        raise ConfigError(f"{item.name}: these pictures need a second teacher")
    labels: dict[str, Faces] = {}
    for path in paths:
        faces = label(teacher, read_picture(path), item.views)
        if item.judged_by and second is not None:
            faces = _labelled_by_two(path, item, faces, second)
        if item.annotations and item.name != "rooms":
            faces = combine(_hand_boxes(root, item, path), faces)
        labels[path.name] = faces
        progress()
    return labels


def _hand_boxes(root: Path, item: Source, path: Path) -> Floats:
    return read_annotation(root / item.annotations / f"{path.stem}.xml").boxes


def _labelled_by_two(path: Path, item: Source, seen: Faces, second: Teacher) -> Faces:
    also = label(second, read_picture(path), SECOND_VIEWS)
    if not item.shows_people and empty_of_people(seen, also):
        return Faces.none()
    return agree(seen, also, path.name.startswith(item.animals))


def combine(hand: Floats, seen: Faces) -> Faces:
    """Join hand-drawn boxes (n, 4) with the teacher's faces.

    A face that both have keeps the teacher's landmarks and, mostly, its box (annotators start at
    the brows, the teacher at the hair), and is sure; one that only annotators have has no
    landmarks; the teacher's others stay.
    """
    overlap = iou_matrix(hand, seen.boxes)
    result, used = Faces.none(), np.zeros(len(seen), bool)
    for i, box in enumerate(hand):
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

    from roommood.shared.opencv import file_name

    picture = cv2.imread(file_name(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise ConfigError(f"{path}: not a picture that can be read")
    return np.asarray(picture, np.uint8)
