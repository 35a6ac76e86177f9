"""Parts of photographs as they are, with what the teacher answers to each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator

from roommood.training.face.answers import (
    NaturalCrop,
    answers,
    every_cell,
    labelled,
    missed,
    write_shard,
)
from roommood.training.face.data import Faces, Floats, Picture, clip, load_faces
from roommood.training.face.light import grey, light_from_behind, spoil
from roommood.training.face.mine import hardness, traps
from roommood.training.face.paste import CROP, IGNORE_SCORE, LEARN_SCORE, centre, cut, size
from roommood.training.face.render import Heads, Trap, weigh
from roommood.training.face.sources import (
    PEOPLE_AMONG_NO_FACES,
    read_picture,
    source,
    training_pictures,
)
from roommood.training.face.teacher import STRIDES, Detector
from roommood.training.face.warp import Photo, affine, move_faces, warp_onto

GROUPS = ("people", "faces-boxes", "portraits", "single-faces")
SHARES = (0.62, 0.14, 0.16, 0.08)
CROWDS = ("people", "faces-boxes")  # of the others each shows one clear face
EMPTY_SHARE, MOSAIC_SHARE, BACKLIGHT_SHARE, SPOILT_SHARE = 0.18, 0.25, 0.08, 0.5
SMALL_PX, ANY_PX, SMALL_SHARE = (13.0, 36.0), (24.0, 220.0), 0.4
LARGEST_SCALE, SMALLEST_SCALE = 1.6, 0.12
TURNED_DEGREES = 6.0
TILTED_SHARE, TILTED_DEGREES = 0.1, 50.0
TRAP_SHARE = 0.4  # of the crops without people
CLOSER_PX = 48.0  # where a face is smaller, the teacher looks at twice the size, too


@dataclass(frozen=True)
class Album:
    """Photographs in colour: groups with people, the heads in each, and some without people, with
    what an earlier detector took for faces in them."""

    groups: tuple[tuple[Photo, ...], ...]
    heads: tuple[Heads, ...]
    shares: tuple[float, ...]
    empties: tuple[Photo, ...]
    traps: tuple[Trap, ...] = ()


def load_album(
    root: Path,
    labels: Path,
    progress: Callable[[str], None],
    earlier: Detector | None = None,
) -> Album:
    """Read every photograph that may be trained on, in colour, with its labels. With an earlier
    detector, the faces that it misses and its false alarms are shown more often."""
    groups, heads, shares, empties = [], [], [], []
    for name, share in zip(GROUPS, SHARES, strict=True):
        progress(name)
        photos = list(_photos(root, labels, name))
        empties += [photo for photo in photos if not len(photo.faces)]
        group = tuple(photo for photo in photos if (photo.faces.scores >= LEARN_SCORE).any())
        if group:
            groups.append(group)
            heads.append(weigh(group, _hard(group, earlier if name in CROWDS else None)))
            shares.append(share)
    progress("things, no-faces")
    empties += [
        photo
        for photo in _photos(root, labels, "things")
        if not (photo.faces.scores >= IGNORE_SCORE).any()
    ]
    empties += list(_photos(root, labels, "no-faces", PEOPLE_AMONG_NO_FACES))
    empties = [Photo(photo.picture, Faces.none()) for photo in empties]
    parts = tuple(share / sum(shares) for share in shares)
    mistaken = traps(earlier, empties) if earlier else ()
    return Album(tuple(groups), tuple(heads), parts, tuple(empties), mistaken)


def _hard(group: Sequence[Photo], earlier: Detector | None) -> list[Floats]:
    return [hardness(earlier, photo) for photo in group] if earlier else []


def _photos(
    root: Path, labels: Path, name: str, without: frozenset[str] = frozenset()
) -> list[Photo]:
    known = load_faces(labels / f"{name}.npz")
    paths = [p for p in training_pictures(root, source(name)) if p.name not in without]
    read = [(read_picture(path), known[path.name]) for path in paths]
    return [Photo(picture, clip(faces, picture)) for picture, faces in read]


def natural_crop(album: Album, teacher: Detector, rng: Generator) -> NaturalCrop:
    """Draw one crop and ask the teacher; what was spoilt it sees before and after."""
    colour, faces, empty = _scene(album, rng)
    scores, places = look(teacher, colour, faces)
    picture, plain = grey(colour, rng), True
    if not empty and rng.random() < BACKLIGHT_SHARE and len(faces):
        picture = light_from_behind(picture, faces.where(faces.scores > 0), rng)
        scores, plain = scores * 0.95, False
    elif rng.random() < SPOILT_SHARE:
        picture = spoil(picture, rng)
        shown = np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR), np.uint8)
        after, _ = every_cell(teacher.outputs(teacher.tensor(shown)))
        scores, plain = (scores + after) / 2, False
    if empty:
        scores = np.zeros_like(scores)
    return NaturalCrop(
        picture, answers(scores, places, faces), missed(scores, places, faces, plain)
    )


def look(teacher: Detector, colour: Picture, faces: Faces) -> tuple[Floats, Floats]:
    """Scores (A,) and places (A, PLACE) that the teacher gives a crop.

    Where one of the faces is small it sees twice the size, too: the cells of a stride then stand
    where those of half that stride do, and say the same in strides. On a labelled face its surer
    answer counts, elsewhere their mean; the places are the surer one's.
    """
    scores, places = every_cell(teacher.outputs(teacher.tensor(colour)))
    sides = np.sqrt(np.prod(faces.boxes[:, 2:] - faces.boxes[:, :2], axis=1))
    if not (sides < CLOSER_PX).any():
        return scores, places
    twice = np.asarray(cv2.resize(colour, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR))
    near, where = every_cell(teacher.outputs(teacher.tensor(twice.astype(np.uint8))))
    count = len(near) - (2 * CROP // STRIDES[0]) ** 2
    near, where = near[-count:], where[-count:]
    both = np.stack([scores[:count], near])
    better = both.argmax(0)
    places[:count] = np.where(better[:, None], where, places[:count])
    on_face = labelled(places, faces)
    scores[:count] = np.where(on_face[:count], both.max(0), both.mean(0))
    return scores, places


def _scene(album: Album, rng: Generator) -> tuple[Picture, Faces, bool]:
    """A crop in colour, its labelled faces, and whether it shows no person."""
    kind = rng.random()
    if kind < EMPTY_SHARE:
        trapped = album.traps and rng.random() < TRAP_SHARE
        empty = _trap(album, rng) if trapped else _background(album, CROP, rng)
        return empty, Faces.none(), True
    if kind > 1 - MOSAIC_SHARE:
        return *_mosaic(album, rng), False
    return *_part(album, CROP, rng), False


def _mosaic(album: Album, rng: Generator) -> tuple[Picture, Faces]:
    """Four parts side by side: more of small faces than a photograph has."""
    half = CROP // 2
    picture, faces = np.zeros((CROP, CROP, 3), np.uint8), Faces.none()
    for top in (0, half):
        for left in (0, half):
            part, own = _part(album, half, rng)
            picture[top : top + half, left : left + half] = part
            offset = np.array([left, top], np.float32)
            faces = faces.joined(
                Faces(own.boxes + np.tile(offset, 2), own.landmarks + offset, own.scores)
            )
    return picture, faces


def _part(album: Album, side: int, rng: Generator) -> tuple[Picture, Faces]:
    """A part of a photograph (side, side) with one of its faces somewhere in it."""
    group = int(rng.choice(len(album.groups), p=np.array(album.shares)))
    number, face = album.heads[group].draw(rng)
    photo = album.groups[group][number]
    box = photo.faces.boxes[face]
    scale = float(np.clip(_draw_px(side, rng) / size(box), SMALLEST_SCALE, LARGEST_SCALE))
    target = rng.uniform(0.1, 0.9, 2).astype(np.float32) * side
    matrix = affine(rng, centre(box), target, scale, _angle(rng), wild=0.5)
    picture = warp_onto(_background(album, side, rng), photo, matrix)
    moved = cut(move_faces(photo.faces, matrix))
    inside = moved.where((moved.boxes[:, :2] < side).all(1))
    return picture, replace(inside, boxes=np.minimum(inside.boxes, side))


def _angle(rng: Generator) -> float:
    if rng.random() < TILTED_SHARE:
        return float(rng.uniform(-TILTED_DEGREES, TILTED_DEGREES))
    return float(rng.normal(0, TURNED_DEGREES))


def _draw_px(side: int, rng: Generator) -> float:
    low, high = SMALL_PX if rng.random() < SMALL_SHARE else ANY_PX
    high = min(high, side * 0.6)
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _background(album: Album, side: int, rng: Generator) -> Picture:
    """A part of a photograph without people that fills (side, side)."""
    photo = album.empties[rng.integers(len(album.empties))]
    height, width = photo.picture.shape[:2]
    scale = max(side / min(height, width) * 1.02, float(np.exp(rng.uniform(-1.2, 0.4))))
    focus = np.array([rng.uniform(0, width), rng.uniform(0, height)], np.float32)
    middle = np.full(2, side / 2, np.float32)
    matrix = affine(rng, focus, middle, scale, float(rng.normal(0, 8)), wild=0.5)
    return np.asarray(
        cv2.warpAffine(
            photo.picture, matrix, (side, side), None, cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101
        ),
        np.uint8,
    )


def _trap(album: Album, rng: Generator) -> Picture:
    """A part of a photograph without people around what was taken for a face in it."""
    trap = album.traps[rng.integers(len(album.traps))]
    scale = _draw_px(CROP, rng) / size(trap.box)
    scale = float(np.clip(scale, SMALLEST_SCALE, LARGEST_SCALE))
    target = rng.uniform(0.15, 0.85, 2).astype(np.float32) * CROP
    matrix = affine(rng, centre(trap.box), target, scale, float(rng.normal(0, 8)), wild=0.5)
    return warp_onto(_background(album, CROP, rng), trap.photo, matrix)


def render_natural(album: Album, teacher: Detector, folder: Path, count: int, seed: int) -> None:
    """Render count crops to a folder, which appears only when it is complete."""
    rng = np.random.default_rng(seed)
    write_shard(folder, count, (natural_crop(album, teacher, rng) for _ in range(count)))
