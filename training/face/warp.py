"""Moving a face: affine maps of pictures with their labels, and turning a head out of the
picture's plane."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from roommood.training.face.data import Faces, Floats, Picture

HEAD_RADIUS = 0.68
RIM_SAMPLES = 24
RELIEF, AXIS = 0.9, 0.45  # of half the head: how far the face stands out, where the neck is


@dataclass(frozen=True)
class Photo:
    """A grey picture (H, W) and its faces."""

    picture: Picture
    faces: Faces


def move_faces(faces: Faces, matrix: Floats) -> Faces:
    """Map faces by a 2x3 matrix. A box stands for the ellipse in it, so that turning it does not
    blow it up."""
    linear, shift = matrix[:, :2], matrix[:, 2]
    centre = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2 @ linear.T + shift
    half = (faces.boxes[:, 2:] - faces.boxes[:, :2]) / 2
    reach = np.sqrt((half**2) @ (linear.T**2))
    boxes = np.concatenate([centre - reach, centre + reach], 1).astype(np.float32)
    landmarks = (faces.landmarks @ linear.T + shift).astype(np.float32)
    if np.linalg.det(linear) < 0:
        landmarks = landmarks[:, [1, 0, 2, 4, 3]]
    return Faces(boxes, landmarks, faces.scores)


def affine(
    rng: Generator, source: Floats, target: Floats, scale: float, angle: float, wild: float = 1.0
) -> Floats:
    """A 2x3 matrix that brings the point source to target, scaled, turned by angle (degrees),
    sheared, maybe mirrored."""
    radians = np.deg2rad(angle)
    rotation = np.array([[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]])
    stretch = np.exp(rng.normal(0, 0.08 * wild))
    shear = np.array([[stretch, rng.normal(0, 0.07 * wild)], [0, 1 / stretch]])
    flip = np.diag([rng.choice([-1.0, 1.0]), 1.0])
    linear = scale * rotation @ shear @ flip
    return np.concatenate([linear, (target - linear @ source)[:, None]], 1).astype(np.float32)


def draw_angle(rng: Generator) -> float:
    """Mostly upright, an eighth up to 45 degrees, a few anyhow (people lie down, cameras hang
    upside down)."""
    kind = rng.random()
    if kind < 0.86:
        return float(rng.normal(0, 9))
    return float(rng.uniform(-45, 45) if kind < 0.985 else rng.uniform(-180, 180))


def shrink(photo: Photo, scale: float) -> tuple[Photo, float]:
    """Halve the picture until scale is above 0.5, so that sampling at the scale returned does not
    alias."""
    picture, factor = photo.picture, 1.0
    while scale * 2 * factor < 1.0 and min(picture.shape[:2]) >= 16 and factor > 1 / 16:
        picture = np.asarray(
            cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8
        )
        factor /= 2
    return Photo(picture, photo.faces), factor


def warp_onto(canvas: Picture, photo: Photo, matrix: Floats) -> Picture:
    """Draw the photo, mapped by the 2x3 matrix, over the canvas in place; what it does not cover
    stays."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    smaller, factor = shrink(photo, scale)
    fitted = matrix.copy()
    fitted[:, :2] /= factor
    fitted[:, 2] += fitted[:, :2] @ np.full(
        2, 0.5 * factor - 0.5, np.float32
    )  # pixel centres, not corners
    size = (canvas.shape[1], canvas.shape[0])
    cv2.warpAffine(smaller.picture, fitted, size, canvas, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)
    return canvas


def turn_head(photo: Photo, yaw: float) -> Photo:
    """Turn the photo's one face by yaw (radians, about the vertical axis) as if it were a rounded
    relief.

    Every row is resampled: a point at depth z moves to x cos(yaw) + z sin(yaw); what another
    point then hides is dropped, and the background beyond the head stays where it is.
    """
    height, width = photo.picture.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    moved = columns + _shift(photo.faces, np.stack([columns, rows], -1), yaw)
    if yaw > 0:
        moved = np.maximum.accumulate(moved, axis=1)
    else:
        moved = np.minimum.accumulate(moved[:, ::-1], axis=1)[:, ::-1]
    moved += np.arange(width, dtype=np.float32) * 1e-4
    steps = np.arange(width, dtype=np.float32)
    back = np.stack([np.interp(steps, row, steps) for row in moved]).astype(np.float32)
    picture = cv2.remap(
        photo.picture, back, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return Photo(np.asarray(picture, np.uint8), _turned(photo.faces, yaw))


def nod_head(photo: Photo, pitch: float) -> Photo:
    """Turn the photo's one face by pitch (radians), up or down: a yaw of the picture on its
    side."""
    on_side = turn_head(
        Photo(np.ascontiguousarray(photo.picture.T), _transposed(photo.faces)), pitch
    )
    return Photo(np.ascontiguousarray(on_side.picture.T), _transposed(on_side.faces))


def _shift(faces: Faces, points: Floats, yaw: float) -> Floats:
    left, top, right, bottom = faces.boxes[0]
    half = np.array([right - left, bottom - top], np.float32) * HEAD_RADIUS
    offset = (points - np.array([left + right, top + bottom], np.float32) / 2) / half
    radius = np.square(offset).sum(-1)
    inside = np.clip(1.6 - radius, 0, 1)
    relief = np.clip(1 - radius, 0, None) * RELIEF - AXIS
    depth = relief * half[0] + _nose(faces, points, float(half[0]))
    shift: Floats = inside * (offset[..., 0] * half[0] * (np.cos(yaw) - 1) + depth * np.sin(yaw))
    return shift.astype(np.float32)


def _nose(faces: Faces, points: Floats, half: float) -> Floats:
    tip = faces.landmarks[0, 2]
    if np.isnan(tip).any():
        return np.zeros(points.shape[:-1], np.float32)
    bump: Floats = 0.22 * half * np.exp(-np.square((points - tip) / (0.2 * half)).sum(-1))
    return bump


def _turned(faces: Faces, yaw: float) -> Faces:
    left, top, right, bottom = faces.boxes[0]
    around = np.linspace(0, 2 * np.pi, RIM_SAMPLES, endpoint=False, dtype=np.float32)
    rim = np.stack([np.cos(around) * (right - left), np.sin(around) * (bottom - top)], -1) / 2
    rim = np.concatenate([rim, rim * 0.7]) + np.array([left + right, top + bottom]) / 2
    across = rim[:, 0] + _shift(faces, rim.astype(np.float32), yaw)
    box = np.array([[across.min(), top, across.max(), bottom]], np.float32)
    landmarks = faces.landmarks.copy()
    landmarks[0, :, 0] += _shift(faces, faces.landmarks[0], yaw)
    landmarks[0, :, 0] = np.clip(landmarks[0, :, 0], box[0, 0], box[0, 2])
    return Faces(box, landmarks, faces.scores)


def _transposed(faces: Faces) -> Faces:
    return Faces(faces.boxes[:, [1, 0, 3, 2]], faces.landmarks[:, :, ::-1], faces.scores)


def visible_share(boxes: Floats, height: int, width: int) -> NDArray[np.float32]:
    """How much of each box lies inside a frame of that size, 0..1."""
    limits = np.array([width, height, width, height], np.float32)
    inside = np.clip(boxes, 0, limits)
    areas = (inside[:, 2:] - inside[:, :2]).prod(-1)
    whole = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(-1), 1e-6)
    share: NDArray[np.float32] = (areas / whole).astype(np.float32)
    return share
