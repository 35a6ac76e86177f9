"""What people wear and hold before their faces: masks, hands, dark glasses, hats and hoods."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from roommood.training.face.data import Faces, Floats, Picture
from roommood.training.face.warp import Photo

SIDE_SHARE, HAT_SHARE = 0.2, 0.5
ARC = np.linspace(np.pi, 2 * np.pi, 15, dtype=np.float32)


def cover(photo: Photo, rng: Generator) -> Photo:
    """Cover a part of the photo's one face; the label stays, and the teacher judges the outcome."""
    kind = rng.random()
    if kind < SIDE_SHARE:
        return _half_hidden(photo, rng)
    if kind >= SIDE_SHARE + HAT_SHARE:
        return Photo(_patched(photo, rng), photo.faces)
    photo = _with_headroom(photo)
    kind = rng.random()
    if kind < 0.25:
        return Photo(_hooded(photo, rng), photo.faces)
    return Photo(_hatted(photo, rng, visor=kind < 0.6), photo.faces)


def _patched(photo: Photo, rng: Generator) -> Picture:
    """A patch over the mouth (a mask, a cup, a hand), the eyes (dark glasses) or the brow."""
    left, top, right, bottom = photo.faces.boxes[0]
    width, height = right - left, bottom - top
    row, across, down = _patch(rng)
    middle = (float(left + width * rng.uniform(0.4, 0.6)), float(top + height * row))
    shape = (middle, (float(width * across), float(height * down)), float(rng.normal(0, 8)))
    picture, shade = photo.picture.copy(), int(rng.integers(0, 256))
    if rng.random() < 0.4:
        shade = int(picture.mean() * rng.uniform(0.8, 1.1)) % 256
    if rng.random() < 0.5:
        cv2.ellipse(picture, shape, shade, -1)
    else:
        cv2.fillPoly(picture, [cv2.boxPoints(shape).astype(np.int32)], shade)
    return picture


def _half_hidden(photo: Photo, rng: Generator) -> Photo:
    """Somebody or something stands before one side of the face: the box is of what is left, as
    annotators draw it."""
    left, top, right, bottom = photo.faces.boxes[0]
    height, width = photo.picture.shape
    edge = float(left + (right - left) * rng.uniform(0.2, 0.5))
    slant = float(rng.normal(0, 0.15) * (bottom - top))
    outline = np.array([[0, 0], [edge + slant, 0], [edge - slant, height], [0, height]])
    box = np.array([[edge, top, right, bottom]], np.float32)
    if rng.random() < 0.5:
        edge = float(left + right) - edge
        outline[:, 0] = left + right - outline[:, 0]
        outline[[0, 3], 0] = width
        box = np.array([[left, top, edge, bottom]], np.float32)
    mask = np.zeros_like(photo.picture)
    cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 255)
    hidden = _laid(photo.picture, mask, _cloth(photo, rng))
    return Photo(hidden, Faces(box, photo.faces.landmarks, photo.faces.scores))


def _patch(rng: Generator) -> tuple[float, float, float]:
    """Middle, width and height of what covers a face, in widths and heights of the face."""
    kind = rng.random()
    if kind < 0.68:
        return rng.uniform(0.72, 0.86), rng.uniform(0.6, 1.05), rng.uniform(0.4, 0.66)
    if kind < 0.84:
        return 0.38, rng.uniform(0.6, 1.05), 0.18
    return rng.uniform(-0.1, 0.05), rng.uniform(1.0, 1.3), rng.uniform(0.4, 0.6)


def _with_headroom(photo: Photo) -> Photo:
    """Half a face more above the head, where the photograph ends too soon for a hat."""
    box = photo.faces.boxes[0]
    missing = round(float((box[3] - box[1]) * 0.55 - box[1]))
    if missing <= 0:
        return photo
    picture = cv2.copyMakeBorder(photo.picture, missing, 0, 0, 0, cv2.BORDER_REPLICATE)
    down = np.array([0, missing], np.float32)
    faces = photo.faces
    lowered = Faces(faces.boxes + np.tile(down, 2), faces.landmarks + down, faces.scores)
    return Photo(np.asarray(picture, np.uint8), lowered)


def _hatted(photo: Photo, rng: Generator, visor: bool) -> Picture:
    """A knitted hat, or a cap with its visor and the shadow under it, down to the brows."""
    _, top, right, bottom = photo.faces.boxes[0]
    width, height = right - photo.faces.boxes[0, 0], bottom - top
    half = width * rng.uniform(0.52, 0.66)
    brim = _eyes(photo)[1] - height * rng.uniform(0.06, 0.26)
    rise = max(brim - top, 0) + height * rng.uniform(0.05, 0.4)
    picture = photo.picture
    if visor:
        picture = _shadowed(photo, brim, rng)
    picture = _laid(picture, _dome(photo, brim, half, rise, rng), _cloth(photo, rng))
    if not visor:
        return picture
    middle = _place(photo, np.array([[rng.normal(0, 0.2) * half, brim]], np.float32))[0]
    size = (float(half * rng.uniform(1.6, 2.3)), float(height * rng.uniform(0.1, 0.24)))
    mask = np.zeros_like(picture)
    cv2.ellipse(mask, ((float(middle[0]), float(middle[1])), size, _tilt(photo)), 255, -1)
    return _laid(picture, mask, _cloth(photo, rng))


def _hooded(photo: Photo, rng: Generator) -> Picture:
    """A hood or long hair: cloth all around the face."""
    left, top, right, bottom = photo.faces.boxes[0]
    middle = (float(left + right) / 2, float(top + bottom) / 2)
    face = np.array([right - left, bottom - top])
    mask, hole = np.zeros_like(photo.picture), np.zeros_like(photo.picture)
    outer, inner = face * rng.uniform(1.35, 1.7, 2), face * rng.uniform(0.8, 1.0, 2)
    cv2.ellipse(mask, (middle, (float(outer[0]), float(outer[1])), _tilt(photo)), 255, -1)
    cv2.ellipse(hole, (middle, (float(inner[0]), float(inner[1])), _tilt(photo)), 255, -1)
    return _laid(photo.picture, np.where(hole > 0, 0, mask).astype(np.uint8), _cloth(photo, rng))


def _dome(photo: Photo, brim: float, half: float, rise: float, rng: Generator) -> Picture:
    sag = rise * rng.uniform(-0.1, 0.2)
    fullness = rng.uniform(0.6, 1.0)
    above = np.stack([half * np.cos(ARC), brim - rise * np.abs(np.sin(ARC)) ** fullness], 1)
    below = np.stack([half * np.cos(ARC[::-1]), brim - sag * np.sin(ARC[::-1])], 1)
    outline = _place(photo, np.concatenate([above, below]).astype(np.float32))
    mask = np.zeros_like(photo.picture)
    cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 255)
    return mask


def _cloth(photo: Photo, rng: Generator) -> Floats:
    """Plain, ribbed or coarse cloth as large as the photo, more often dark than pale."""
    height, width = photo.picture.shape
    shade = rng.uniform(5, 80) if rng.random() < 0.6 else rng.uniform(0, 255)
    coarse = rng.standard_normal((height // 3 + 1, width // 3 + 1)).astype(np.float32)
    grain = cv2.resize(coarse, (width, height)) * rng.uniform(0, 0.15)
    ribs = np.sin(np.arange(width) * rng.uniform(0.5, 2.0)) * rng.uniform(0, 0.2)
    light = np.linspace(rng.uniform(0.8, 1.6), rng.uniform(0.6, 1.0), height)[:, None]
    cloth: Floats = (shade * light * (1 + grain + ribs[None])).astype(np.float32)
    return cloth


def _laid(picture: Picture, mask: Picture, cloth: Floats) -> Picture:
    soft = cv2.GaussianBlur(mask, (3, 3), 0).astype(np.float32) / 255
    return np.clip(picture + soft * (cloth - picture), 0, 255).astype(np.uint8)


def _shadowed(photo: Photo, brim: float, rng: Generator) -> Picture:
    """Darker under the visor, down to somewhere between the eyes and the chin."""
    _, top, _, bottom = photo.faces.boxes[0]
    end = brim + (bottom - top) * rng.uniform(0.2, 0.8)
    rows = np.arange(photo.picture.shape[0], dtype=np.float32)
    fade = np.clip((rows - brim) / max(end - brim, 1.0), 0, 1)
    dark = rng.uniform(0.3, 0.9)
    lit = photo.picture * np.where(rows < brim, 1, dark + (1 - dark) * fade)[:, None]
    return lit.astype(np.uint8)


def _eyes(photo: Photo) -> Floats:
    """The point between the eyes; where eyes belong if they are unknown."""
    box, points = photo.faces.boxes[0], photo.faces.landmarks[0, :2]
    if np.isnan(points).any():
        return np.array([(box[0] + box[2]) / 2, box[1] * 0.62 + box[3] * 0.38], np.float32)
    middle: Floats = points.mean(0)
    return middle


def _tilt(photo: Photo) -> float:
    """The angle of the line between the eyes, degrees; 0 if unknown or steep."""
    points = photo.faces.landmarks[0, :2]
    if np.isnan(points).any():
        return 0.0
    across, down = (points[1] - points[0]).tolist()
    angle = float(np.rad2deg(np.arctan2(down, across)))
    return angle if abs(angle) < 45 else 0.0


def _place(photo: Photo, points: Floats) -> Floats:
    """Points (n, 2), across from the box's middle and down in pixels, turned with the head."""
    box, eyes = photo.faces.boxes[0], _eyes(photo)
    radians = np.deg2rad(_tilt(photo))
    across, down = points[:, 0], points[:, 1] - eyes[1]
    x = (box[0] + box[2]) / 2 + across * np.cos(radians) - down * np.sin(radians)
    y = eyes[1] + across * np.sin(radians) + down * np.cos(radians)
    placed: Floats = np.stack([x, y], 1).astype(np.float32)
    return placed
