"""Pasting onto a crop: faces, turned or covered or badly lit, and things that are no faces."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from roommood.training.face.cover import cover
from roommood.training.face.data import Faces, Floats, Picture
from roommood.training.face.warp import (
    Photo,
    affine,
    draw_angle,
    move_faces,
    nod_head,
    turn_head,
    visible_share,
    warp_onto,
)

CROP = 320
SMALLEST_PX, LARGEST_PX = 12.0, 300.0
COMMON_PX, COMMON_SHARE = (16.0, 64.0), 0.7
LEARN_SCORE = 0.5
IGNORE_SCORE = 0.1
MAX_ENLARGEMENT = 3.0
COVER_SHARE = 0.45


@dataclass(frozen=True)
class Canvas:
    """A crop in the making: grey (CROP, CROP) and the faces on it; score 0 marks one to ignore."""

    picture: Picture
    faces: Faces


def draw_px(rng: Generator) -> float:
    """The size that a face is to get: any, most often that of people across a room."""
    low, high = COMMON_PX if rng.random() < COMMON_SHARE else (SMALLEST_PX, LARGEST_PX)
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def size(box: Floats) -> float:
    """The side of a square as large as a box, at least 1."""
    return float(np.sqrt(max(float((box[2] - box[0]) * (box[3] - box[1])), 1.0)))


def centre(box: Floats) -> Floats:
    """The middle of a box."""
    middle: Floats = ((box[:2] + box[2:]) / 2).astype(np.float32)
    return middle


def cut(faces: Faces) -> Faces:
    """Clip faces to the crop.

    One of which less than a fifth shows is gone; less than a half, or too small, or not sure:
    ignored.
    """
    share = visible_share(faces.boxes, CROP, CROP)
    boxes = np.clip(faces.boxes, 0, CROP).astype(np.float32)
    small = np.sqrt(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(-1)) < SMALLEST_PX - 1
    unclear = (share < 0.5) | small | (faces.scores < LEARN_SCORE)
    scores = np.where(unclear, 0, faces.scores).astype(np.float32)
    return Faces(boxes, faces.landmarks, scores).where(
        (share >= 0.2) & (faces.scores >= IGNORE_SCORE)
    )


def paste_face(canvas: Canvas, photo: Photo, rng: Generator) -> Canvas:
    """Paste a photograph of one face, changed in pose, cover and light; hide no other."""
    photo = _shade(disguise(photo, rng), rng)
    box = photo.faces.boxes[0]
    scale = min(draw_px(rng) / size(box), MAX_ENLARGEMENT)
    target = rng.uniform(0.0, 1.0, 2).astype(np.float32) * CROP
    matrix = affine(rng, centre(box), target, scale, draw_angle(rng), wild=1.2)
    moved = cut(move_faces(photo.faces, matrix))
    if len(moved) == 0 or _crowded(canvas.faces, moved):
        return canvas
    picture = _blend(canvas.picture, photo, matrix, box, rng)
    return Canvas(picture, _uncovered(canvas.faces, moved).joined(moved))


def paste_piece(canvas: Canvas, photo: Photo, rng: Generator) -> Canvas:
    """Paste a piece without a face as faces are pasted, so that the seam tells nothing."""
    height, width = photo.picture.shape
    side = rng.uniform(0.2, 0.6) * min(height, width)
    left, top = int(rng.uniform(0, width - side)), int(rng.uniform(0, height - side))
    piece = np.ascontiguousarray(photo.picture[top : top + int(side), left : left + int(side)])
    return _paste_no_face(canvas, piece, rng)


def paste_shape(canvas: Canvas, rng: Generator) -> Canvas:
    """Paste a sheet, a lamp, a sign: angular or round, plain or with a few letters."""
    shade, side = int(rng.integers(0, 256)), 48
    piece = np.full((side, side), int(rng.integers(0, 256)), np.uint8)
    if rng.random() < 0.5:
        corners = rng.uniform(0.05, 0.95, (int(rng.integers(3, 6)), 1, 2)) * side
        cv2.fillConvexPoly(piece, cv2.convexHull(corners.astype(np.int32)), shade)
    else:
        half = rng.uniform(0.2, 0.45, 2) * side
        cv2.ellipse(piece, ((side / 2, side / 2), (half[0] * 2, half[1] * 2), 0.0), shade, -1)
    for _ in range(int(rng.integers(0, 4))):
        letter = chr(int(rng.integers(33, 127)))
        corner = (int(rng.integers(0, 32)), int(rng.integers(16, 48)))
        cv2.putText(piece, letter, corner, 0, rng.uniform(0.4, 1.3), int(rng.integers(0, 256)), 2)
    return _paste_no_face(canvas, np.asarray(cv2.GaussianBlur(piece, (3, 3), 0), np.uint8), rng)


def _paste_no_face(canvas: Canvas, piece: Picture, rng: Generator) -> Canvas:
    height, width = piece.shape
    unknown = np.full((1, 5, 2), np.nan, np.float32)
    box = np.array([[0, 0, width, height]], np.float32)
    stray = Photo(piece, Faces(box, unknown, np.ones(1, np.float32)))
    target = rng.uniform(0, CROP, 2).astype(np.float32)
    matrix = affine(rng, centre(box[0]), target, draw_px(rng) / size(box[0]), draw_angle(rng))
    place = move_faces(stray.faces, matrix)
    if _crowded(canvas.faces, place):
        return canvas
    picture = _blend(canvas.picture, stray, matrix, box[0], rng)
    return Canvas(picture, _uncovered(canvas.faces, place))


def disguise(photo: Photo, rng: Generator) -> Photo:
    """Turn the head out of the plane or cover a part of it, sometimes."""
    if max(photo.picture.shape) > 150:
        photo = _resized(photo, 130 / max(photo.picture.shape))
    if rng.random() < COVER_SHARE:
        photo = cover(photo, rng)
    if rng.random() < 0.5:
        photo = turn_head(photo, float(rng.uniform(-0.9, 0.9)))
    if rng.random() < 0.35:
        photo = nod_head(photo, float(rng.uniform(-0.4, 0.65)))
    return photo


def _resized(photo: Photo, scale: float) -> Photo:
    picture = cv2.resize(photo.picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    faces = photo.faces
    scaled = Faces(faces.boxes * scale, faces.landmarks * scale, faces.scores)
    return Photo(np.asarray(picture, np.uint8), scaled)


def _shade(photo: Photo, rng: Generator) -> Photo:
    """Flatten and darken the face as light from behind does, or light it from one side."""
    kind = rng.random()
    if kind < 0.28:
        level = rng.uniform(15, 150)
        flat = (photo.picture.astype(np.float32) - 127) * rng.uniform(0.3, 0.8) + level
        return Photo(np.clip(flat, 0, 255).astype(np.uint8), photo.faces)
    if kind < 0.4:
        ramp = np.linspace(rng.uniform(0.2, 1), rng.uniform(0.6, 1.3), photo.picture.shape[1])
        lit = photo.picture * (ramp if rng.random() < 0.5 else ramp[::-1])
        return Photo(np.clip(lit, 0, 255).astype(np.uint8), photo.faces)
    return photo


def _overlap(faces: Faces, new: Faces) -> Floats:
    """Pixels of each face that the new one hides."""
    low = np.maximum(faces.boxes[:, :2], new.boxes[:, :2])
    high = np.minimum(faces.boxes[:, 2:], new.boxes[:, 2:])
    hidden: Floats = np.clip(high - low, 0, None).prod(-1)
    return hidden


def _crowded(faces: Faces, new: Faces) -> bool:
    limit = 0.15 * size(new.boxes[0]) ** 2
    return len(faces) > 0 and bool(_overlap(faces, new).max() > limit)


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
    middle = (float(centre(box)[0]), float(centre(box)[1] - half[1] * 0.1))
    cv2.ellipse(alpha, (middle, (float(half[0]) * 2, float(half[1]) * 2), 0.0), 255, -1)
    spread = max(float(half.min()) * rng.uniform(0.05, 0.3), 0.5)
    alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), spread), np.uint8)
    weight = warp_onto(np.zeros_like(canvas), Photo(alpha, Faces.none()), matrix) / np.float32(255)
    return (canvas + weight * (drawn.astype(np.float32) - canvas)).astype(np.uint8)
