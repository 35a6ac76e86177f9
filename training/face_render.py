"""Training crops: photographs and pasted faces, turned, cut, covered, re-lit, with labels for
every cell's loss."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from training.face_data import Faces, Floats, Picture
from training.face_light import spoil
from training.face_warp import (
    Photo,
    affine,
    draw_angle,
    move_faces,
    nod_head,
    turn_head,
    visible_share,
    warp_onto,
)

CROP = 256
MAX_FACES = 32
LABEL_WIDTH = 16
SMALLEST_PX, LARGEST_PX = 9.0, 230.0
LEARN_SCORE = 0.5
IGNORE_SCORE = 0.2
MAX_ENLARGEMENT = 3.0
STREET_SHARE, STREET_TRIES = 0.5, 4


@dataclass(frozen=True)
class Stock:
    """What crops are made of: photographs of scenes with people; photographs of one face each, in
    groups with a weight (how often a group is drawn); photographs without faces."""

    scenes: tuple[Photo, ...]
    singles: tuple[tuple[Photo, ...], ...]
    single_weights: tuple[float, ...]
    empties: tuple[Photo, ...]


@dataclass(frozen=True)
class Crop:
    """One training example: grey (CROP, CROP) and labels (MAX_FACES, 16): box, five points,
    score, has points.

    A score of 0 with a box marks a place to leave out of the loss; an empty row has an empty box.
    """

    picture: Picture
    labels: Floats


def render(stock: Stock, rng: Generator) -> Crop:
    """Draw one crop."""
    kind = rng.random()
    if kind < 0.38:
        canvas, faces = _scene(stock, rng)
    elif kind < 0.56:
        canvas, faces = _scene(stock, rng)
        canvas, faces = _paste_some(stock, canvas, faces, rng, int(rng.integers(1, 5)))
    elif kind < 0.88:
        canvas, faces = _backdrop(stock, rng), Faces.none()
        canvas, faces = _paste_some(stock, canvas, faces, rng, int(rng.integers(2, 9)))
    else:
        canvas, faces = _backdrop(stock, rng), Faces.none()
    if rng.random() < 0.3:
        canvas, faces = _distract(stock, canvas, faces, rng)
    return Crop(spoil(canvas, rng), pack(faces))


def _backdrop(stock: Stock, rng: Generator) -> Picture:
    """A part without faces of some photograph, at any scale, filling the crop."""
    if rng.random() < STREET_SHARE:
        for _ in range(STREET_TRIES):
            street = _street(stock, rng)
            if street is not None:
                return street
    photo = stock.empties[rng.integers(len(stock.empties))]
    height, width = photo.picture.shape
    scale = max(
        CROP / min(height, width) * 1.05, float(np.exp(rng.uniform(np.log(0.3), np.log(1.8))))
    )
    focus = np.array([rng.uniform(0, width), rng.uniform(0, height)], np.float32)
    canvas = np.full((CROP, CROP), rng.integers(0, 256), np.uint8)
    target = np.full(2, CROP / 2, np.float32)
    angle = float(rng.normal(0, 8)) if rng.random() < 0.8 else float(rng.uniform(-180, 180))
    matrix = affine(rng, focus, target, scale, angle)
    smaller = Photo(photo.picture, Faces.none())
    if rng.random() < 0.7:
        return _reflected(canvas, smaller, matrix)
    return warp_onto(canvas, smaller, matrix)


def _street(stock: Stock, rng: Generator) -> Picture | None:
    """A part of a photograph with people that shows none of their faces; None if this draw shows
    one."""
    photo = stock.scenes[rng.integers(len(stock.scenes))]
    height, width = photo.picture.shape
    scale = float(np.exp(rng.uniform(np.log(0.8), np.log(4.0))))
    reach = CROP / 2 / scale
    if min(height, width) < 2 * reach:
        return None
    focus = np.array(
        [rng.uniform(reach, width - reach), rng.uniform(reach, height - reach)], np.float32
    )
    matrix = affine(rng, focus, np.full(2, CROP / 2, np.float32), scale, float(rng.normal(0, 4)))
    if (visible_share(move_faces(photo.faces, matrix).boxes, CROP, CROP) > 0).any():
        return None
    return _reflected(np.zeros((CROP, CROP), np.uint8), photo, matrix)


def _reflected(canvas: Picture, photo: Photo, matrix: Floats) -> Picture:
    size = (canvas.shape[1], canvas.shape[0])
    drawn = cv2.warpAffine(
        photo.picture, matrix, size, None, cv2.INTER_AREA, cv2.BORDER_REFLECT_101
    )
    return np.asarray(drawn, np.uint8)


def _target_px(rng: Generator) -> float:
    return float(np.exp(rng.uniform(np.log(SMALLEST_PX), np.log(LARGEST_PX))))


def _size(box: Floats) -> float:
    return float(np.sqrt(max(float((box[2] - box[0]) * (box[3] - box[1])), 1.0)))


def _centre(box: Floats) -> Floats:
    middle: Floats = ((box[:2] + box[2:]) / 2).astype(np.float32)
    return middle


def _scene(stock: Stock, rng: Generator) -> tuple[Picture, Faces]:
    """A real photograph around one of its faces; beyond its edges a backdrop."""
    photo = stock.scenes[rng.integers(len(stock.scenes))]
    sure = np.flatnonzero(photo.faces.scores >= LEARN_SCORE)
    if len(sure) == 0:
        return _backdrop(stock, rng), Faces.none()
    box = photo.faces.boxes[rng.choice(sure)]
    scale = float(np.clip(_target_px(rng) / _size(box), 0.3, MAX_ENLARGEMENT))
    target = rng.uniform(-0.05, 1.05, 2).astype(np.float32) * CROP
    if rng.random() < 0.5:
        target = rng.uniform(0.25, 0.75, 2).astype(np.float32) * CROP
    matrix = affine(rng, _centre(box), target, scale, draw_angle(rng))
    canvas = warp_onto(_backdrop(stock, rng), photo, matrix)
    return canvas, cut(move_faces(photo.faces, matrix))


def cut(faces: Faces) -> Faces:
    """Clip faces to the crop: gone below a fifth visible, ignored below a half; ignore what is
    too small."""
    share = visible_share(faces.boxes, CROP, CROP)
    boxes = np.clip(faces.boxes, 0, CROP).astype(np.float32)
    small = np.sqrt(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(-1)) < SMALLEST_PX - 1
    scores = np.where((share < 0.5) | small | (faces.scores < LEARN_SCORE), 0, faces.scores).astype(
        np.float32
    )
    keep = (share >= 0.2) & (faces.scores >= IGNORE_SCORE)
    return Faces(boxes, faces.landmarks, scores).where(keep)


def _paste_some(
    stock: Stock, canvas: Picture, faces: Faces, rng: Generator, count: int
) -> tuple[Picture, Faces]:
    for _ in range(count):
        group = stock.singles[rng.choice(len(stock.singles), p=np.array(stock.single_weights))]
        photo = group[rng.integers(len(group))]
        canvas, faces = _paste(canvas, faces, _disguise(photo, rng), rng)
    return canvas, faces


def _disguise(photo: Photo, rng: Generator) -> Photo:
    """Turn the head out of the plane or cover a part of it, sometimes; photo has one face."""
    if max(photo.picture.shape) > 150:
        photo = _resized(photo, 130 / max(photo.picture.shape))
    if rng.random() < 0.2:
        photo = _covered(photo, rng)
    if rng.random() < 0.45:
        photo = turn_head(photo, float(rng.uniform(-0.9, 0.9)))
    if rng.random() < 0.2:
        photo = nod_head(photo, float(rng.uniform(-0.5, 0.6)))
    return photo


def _resized(photo: Photo, scale: float) -> Photo:
    picture = cv2.resize(photo.picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    faces = photo.faces
    return Photo(
        np.asarray(picture, np.uint8),
        Faces(faces.boxes * scale, faces.landmarks * scale, faces.scores),
    )


def _covered(photo: Photo, rng: Generator) -> Photo:
    """Draw something over the mouth (a mask, a cup, a hand's place) or over the eyes (dark
    glasses)."""
    left, top, right, bottom = photo.faces.boxes[0]
    width, height = right - left, bottom - top
    low = rng.random() < 0.75
    centre = (
        left + width * rng.uniform(0.4, 0.6),
        top + height * (rng.uniform(0.74, 0.86) if low else 0.38),
    )
    half = (width * rng.uniform(0.3, 0.5), height * (rng.uniform(0.2, 0.32) if low else 0.09))
    shape = (
        (float(centre[0]), float(centre[1])),
        (float(half[0]) * 2, float(half[1]) * 2),
        float(rng.normal(0, 8)),
    )
    picture = photo.picture.copy()
    shade = int(rng.integers(0, 256))
    if rng.random() < 0.5:
        cv2.ellipse(picture, shape, shade, -1)
    else:
        cv2.fillPoly(picture, [cv2.boxPoints(shape).astype(np.int32)], shade)
    return Photo(picture, photo.faces)


def _paste(canvas: Picture, faces: Faces, photo: Photo, rng: Generator) -> tuple[Picture, Faces]:
    box = photo.faces.boxes[0]
    scale = min(_target_px(rng) / _size(box), MAX_ENLARGEMENT)
    target = rng.uniform(0.0, 1.0, 2).astype(np.float32) * CROP
    matrix = affine(rng, _centre(box), target, scale, draw_angle(rng), wild=1.5)
    moved = cut(move_faces(photo.faces, matrix))
    if len(moved) == 0 or _crowded(faces, moved):
        return canvas, faces
    canvas = _blend(canvas, photo, matrix, box, rng)
    return canvas, _uncovered(faces, moved).joined(moved)


def _crowded(faces: Faces, new: Faces) -> bool:
    return len(faces) > 0 and bool(_overlap(faces, new).max() > 0.15 * _size(new.boxes[0]) ** 2)


def _overlap(faces: Faces, new: Faces) -> Floats:
    """Pixels of each face that the new one hides."""
    low = np.maximum(faces.boxes[:, :2], new.boxes[:, :2])
    high = np.minimum(faces.boxes[:, 2:], new.boxes[:, 2:])
    hidden: Floats = np.clip(high - low, 0, None).prod(-1)
    return hidden


def _uncovered(faces: Faces, new: Faces) -> Faces:
    """Faces of which the new one hides much are ignored; hidden ones are gone."""
    areas = np.maximum((faces.boxes[:, 2:] - faces.boxes[:, :2]).prod(-1), 1e-6)
    hidden = _overlap(faces, new) / areas
    scores = np.where(hidden > 0.25, 0, faces.scores).astype(np.float32)
    return Faces(faces.boxes, faces.landmarks, scores).where(hidden < 0.75)


def _blend(canvas: Picture, photo: Photo, matrix: Floats, box: Floats, rng: Generator) -> Picture:
    """Paste the whole photo, or an oval around the head with soft edges."""
    if rng.random() < 0.45:
        return warp_onto(canvas, photo, matrix)
    drawn = warp_onto(canvas.copy(), photo, matrix)
    half = (box[2:] - box[:2]) / 2 * rng.uniform(1.05, 1.7, 2)
    alpha = np.zeros(photo.picture.shape, np.uint8)
    middle = (float(_centre(box)[0]), float(_centre(box)[1] - half[1] * 0.1))
    cv2.ellipse(alpha, (middle, (float(half[0]) * 2, float(half[1]) * 2), 0.0), 255, -1)
    spread = float(half.min()) * rng.uniform(0.05, 0.3)
    alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), max(spread, 0.5)), np.uint8)
    weight = (
        warp_onto(np.zeros_like(canvas), Photo(alpha, Faces.none()), matrix).astype(np.float32)
        / 255
    )
    return (canvas + weight * (drawn.astype(np.float32) - canvas)).astype(np.uint8)


def _distract(stock: Stock, canvas: Picture, faces: Faces, rng: Generator) -> tuple[Picture, Faces]:
    """Paste pieces without a face as faces are pasted, so that the seam tells nothing."""
    for _ in range(int(rng.integers(1, 4))):
        photo = stock.empties[rng.integers(len(stock.empties))]
        height, width = photo.picture.shape
        size = rng.uniform(0.2, 0.6) * min(height, width)
        corner = np.array([rng.uniform(0, width - size), rng.uniform(0, height - size)])
        box = np.concatenate([corner, corner + size]).astype(np.float32)
        piece = photo.picture[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])]
        local = np.array([[0, 0, piece.shape[1], piece.shape[0]]], np.float32)
        unknown = np.full((1, 5, 2), np.nan, np.float32)
        stray = Photo(np.ascontiguousarray(piece), Faces(local, unknown, np.ones(1, np.float32)))
        scale = _target_px(rng) / size
        matrix = affine(
            rng,
            _centre(local[0]),
            rng.uniform(0, CROP, 2).astype(np.float32),
            scale,
            draw_angle(rng),
        )
        place = move_faces(stray.faces, matrix)
        if not _crowded(faces, place):
            canvas, faces = _blend(canvas, stray, matrix, local[0], rng), _uncovered(faces, place)
    return canvas, faces


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
