"""Training crops: photographs and pasted faces, turned, cut, covered and re-lit, with labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from roommood.training.face.data import Faces, Floats, Picture
from roommood.training.face.light import light_from_behind, spoil
from roommood.training.face.paste import (
    CROP,
    IGNORE_SCORE,
    LEARN_SCORE,
    MAX_ENLARGEMENT,
    Canvas,
    centre,
    cut,
    disguise,
    draw_px,
    paste_face,
    paste_piece,
    paste_shape,
    size,
)
from roommood.training.face.review import doubted, review
from roommood.training.face.teacher import Detector
from roommood.training.face.warp import (
    Photo,
    affine,
    draw_angle,
    move_faces,
    visible_share,
    warp_onto,
)

MAX_FACES = 48
LABEL_WIDTH = 16
STREET_SHARE, STREET_TRIES = 0.5, 4
ROOM_SHARE, PORTRAIT_SHARE = 0.35, 0.2
DISGUISED_SHARE = 0.6
TRAP_SHARE = 0.2
BACKLIGHT_SHARE = 0.12
TURNED = 0.12
TURNED_WEIGHT = 3.0


@dataclass(frozen=True)
class Heads:
    """Faces to draw from: (n, 2) indices of photo and face; the sum of chances up to each, (n,)."""

    index: NDArray[np.int64]
    up_to: NDArray[np.float64]

    def draw(self, rng: Generator) -> tuple[int, int]:
        """A photo's index and a face's."""
        photo, face = self.index[np.searchsorted(self.up_to, rng.random() * self.up_to[-1])]
        return int(photo), int(face)


@dataclass(frozen=True)
class Trap:
    """A place of a photo, a box (4,), without a face, that a detector took for one."""

    photo: Photo
    box: Floats


@dataclass(frozen=True)
class Stock:
    """What crops are made of.

    scenes   photographs with people, and the heads in them
    singles  groups of photographs of one face each, the heads of each group, each group's share
    empties  photographs without faces
    traps    what an earlier detector fell for
    rooms    rooms whose people are painted over
    teacher  looks at every finished crop: what it cannot see in it is left out of the loss
    """

    scenes: tuple[Photo, ...]
    scene_heads: Heads
    singles: tuple[tuple[Photo, ...], ...]
    single_heads: tuple[Heads, ...]
    single_shares: tuple[float, ...]
    empties: tuple[Photo, ...]
    traps: tuple[Trap, ...] = ()
    rooms: tuple[Photo, ...] = ()
    teacher: Detector | None = None


@dataclass(frozen=True)
class Crop:
    """One training example: grey (CROP, CROP) and labels (MAX_FACES, 16).

    A label is a box, five points, a score and whether the points are known. A score of 0 with a box
    marks a place to leave out of the loss; an empty row has an empty box.
    """

    picture: Picture
    labels: Floats


def turned(faces: Faces) -> NDArray[np.bool_]:
    """Heads turned aside: the nose stands off the middle of the eyes by an eighth of the face."""
    eyes = faces.landmarks[:, 1] - faces.landmarks[:, 0]
    along = eyes / np.maximum(np.linalg.norm(eyes, axis=1, keepdims=True), 1e-6)
    off = ((faces.landmarks[:, 2] - faces.landmarks[:, :2].mean(1)) * along).sum(1)
    aside: NDArray[np.bool_] = np.abs(off) > TURNED * (faces.boxes[:, 2] - faces.boxes[:, 0])
    return aside


def weigh(photos: tuple[Photo, ...], factors: Sequence[Floats] = ()) -> Heads:
    """The sure faces of some photos, a crowd's less likely each, turned or hard ones more; with
    `factors`, for each face of each photo, as much more often again."""
    index, weights = [], []
    for number, photo in enumerate(photos):
        sure = np.flatnonzero(photo.faces.scores >= LEARN_SCORE)
        hard = turned(photo.faces) | np.isnan(photo.faces.landmarks).any((1, 2))
        for face in sure.tolist():
            index.append((number, face))
            often = float(factors[number][face]) if factors else 1.0
            weights.append(often * (TURNED_WEIGHT if hard[face] else 1.0) / np.sqrt(len(sure)))
    return Heads(np.array(index, np.int64).reshape(-1, 2), np.cumsum(weights))


def render(stock: Stock, rng: Generator) -> Crop:
    """Draw one crop."""
    kind = rng.random()
    if kind < 0.6:
        canvas = _scene(stock, rng)
    elif kind < 0.72:
        canvas = _paste_some(stock, _scene(stock, rng), rng, int(rng.integers(1, 7)))
    elif kind < 0.86:
        empty = Canvas(_backdrop(stock, rng), Faces.none())
        canvas = _paste_some(stock, empty, rng, int(rng.integers(3, 10)))
    else:
        canvas = Canvas(_backdrop(stock, rng), Faces.none())
    if rng.random() < 0.35:
        canvas = _distract(stock, canvas, rng)
    if len(canvas.faces) and rng.random() < BACKLIGHT_SHARE:
        lit = light_from_behind(canvas.picture, canvas.faces, rng)
        canvas = Canvas(lit, doubted(canvas.faces))
    picture, faces = spoil(canvas.picture, rng), canvas.faces
    if stock.teacher is not None:
        faces = review(picture, faces, stock.teacher)
    return Crop(picture, pack(faces))


def _scene(stock: Stock, rng: Generator) -> Canvas:
    """A real photograph, one in three a portrait, around one of its faces, or a trap; beyond its
    edges a backdrop."""
    photo, box = _focus(stock, rng)
    scale = float(np.clip(draw_px(rng) / size(box), 0.3, MAX_ENLARGEMENT))
    target = rng.uniform(-0.05, 1.05, 2).astype(np.float32) * CROP
    if rng.random() < 0.5:
        target = rng.uniform(0.25, 0.75, 2).astype(np.float32) * CROP
    matrix = affine(rng, centre(box), target, scale, draw_angle(rng))
    picture = warp_onto(_backdrop(stock, rng), photo, matrix)
    return Canvas(picture, cut(move_faces(photo.faces, matrix)))


def _focus(stock: Stock, rng: Generator) -> tuple[Photo, Floats]:
    if stock.traps and rng.random() < TRAP_SHARE:
        trap = stock.traps[rng.integers(len(stock.traps))]
        return trap.photo, trap.box
    if stock.singles and rng.random() < PORTRAIT_SHARE:
        number, _ = stock.single_heads[0].draw(rng)
        photo = stock.singles[0][number]
        if rng.random() < DISGUISED_SHARE:
            photo = disguise(photo, rng)
        return photo, photo.faces.boxes[0]
    number, face = stock.scene_heads.draw(rng)
    return stock.scenes[number], stock.scenes[number].faces.boxes[face]


def _backdrop(stock: Stock, rng: Generator) -> Picture:
    """A part without faces of some photograph, at any scale, filling the crop."""
    if rng.random() < STREET_SHARE:
        for _ in range(STREET_TRIES):
            street = _street(stock, rng)
            if street is not None:
                return street
    photo = stock.empties[rng.integers(len(stock.empties))]
    height, width = photo.picture.shape
    scale = max(CROP / min(height, width) * 1.05, float(np.exp(rng.uniform(-1.2, 0.6))))
    focus = np.array([rng.uniform(0, width), rng.uniform(0, height)], np.float32)
    angle = float(rng.normal(0, 8)) if rng.random() < 0.8 else float(rng.uniform(-180, 180))
    matrix = affine(rng, focus, np.full(2, CROP / 2, np.float32), scale, angle)
    if rng.random() < 0.7:
        return _filled(photo.picture, matrix)
    return warp_onto(np.full((CROP, CROP), rng.integers(0, 256), np.uint8), photo, matrix)


def _street(stock: Stock, rng: Generator) -> Picture | None:
    """A part of a photograph with people that shows no face; None if this draw shows one."""
    photos = stock.rooms if stock.rooms and rng.random() < ROOM_SHARE else stock.scenes
    photo = photos[rng.integers(len(photos))]
    height, width = photo.picture.shape
    scale = float(np.exp(rng.uniform(np.log(0.8), np.log(4.0))))
    reach = CROP / 2 / scale
    if min(height, width) < 2 * reach:
        return None
    focus = rng.uniform(reach, np.array([width, height]) - reach).astype(np.float32)
    matrix = affine(rng, focus, np.full(2, CROP / 2, np.float32), scale, float(rng.normal(0, 4)))
    likely = photo.faces.where(photo.faces.scores >= IGNORE_SCORE)
    if (visible_share(move_faces(likely, matrix).boxes, CROP, CROP) > 0).any():
        return None
    return _filled(photo.picture, matrix)


def _filled(picture: Picture, matrix: Floats) -> Picture:
    drawn = cv2.warpAffine(
        picture, matrix, (CROP, CROP), None, cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101
    )
    return np.asarray(drawn, np.uint8)


def _paste_some(stock: Stock, canvas: Canvas, rng: Generator, count: int) -> Canvas:
    for _ in range(count):
        group = int(rng.choice(len(stock.singles), p=np.array(stock.single_shares)))
        number, _ = stock.single_heads[group].draw(rng)
        canvas = paste_face(canvas, stock.singles[group][number], rng)
    return canvas


def _distract(stock: Stock, canvas: Canvas, rng: Generator) -> Canvas:
    for _ in range(int(rng.integers(1, 6))):
        if rng.random() < 0.5:
            canvas = paste_shape(canvas, rng)
        else:
            canvas = paste_piece(canvas, stock.empties[rng.integers(len(stock.empties))], rng)
    return canvas


def pack(faces: Faces) -> Floats:
    """Faces as (MAX_FACES, 16) rows, the largest first where there are too many."""
    areas = (faces.boxes[:, 2:] - faces.boxes[:, :2]).prod(-1)
    faces = faces.where(np.argsort(-areas)[:MAX_FACES])
    rows = np.zeros((MAX_FACES, LABEL_WIDTH), np.float32)
    known = ~np.isnan(faces.landmarks).any((1, 2))
    rows[: len(faces), :4] = faces.boxes
    rows[: len(faces), 4:14] = np.nan_to_num(faces.landmarks).reshape(-1, 10)
    rows[: len(faces), 14] = faces.scores
    rows[: len(faces), 15] = known
    return rows
