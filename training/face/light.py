"""What a cheap camera does to a grey picture: light, noise, blur, few pixels, JPEG."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from roommood.training.face.data import Faces, Floats, Picture


def grey(picture: Picture, rng: Generator | None = None) -> Picture:
    """BGR (H, W, 3) to grey (H, W); with a generator sometimes through another mixture of the
    colours."""
    if rng is None or rng.random() < 0.75:
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)
    mixture = rng.dirichlet([2.0, 4.0, 3.0]).astype(np.float32)[None]
    return np.asarray(cv2.transform(picture, mixture), np.uint8).reshape(picture.shape[:2])


def spoil(picture: Picture, rng: Generator) -> Picture:
    """Apply a random choice of what light, lens, sensor and codec do; same shape."""
    if rng.random() < 0.35:
        picture = _coarsen(picture, rng)
    if rng.random() < 0.1:
        picture = _smear(picture, rng)
    if rng.random() < 0.7:
        picture = _relight(picture, rng)
    if rng.random() < 0.3:
        picture = _noise(picture, rng)
    if rng.random() < 0.5:
        picture = _compress(picture, rng)
    return picture


def light_from_behind(picture: Picture, faces: Faces, rng: Generator) -> Picture:
    """Whoever sits before a window: faces, and what is below them, dark and flat; around them it
    is bright, and some of that spills over."""
    shade = np.zeros(picture.shape, np.float32)
    for left, top, right, bottom in faces.boxes:
        wide, high = float(right - left), float(bottom - top)
        middle = ((float(left) + float(right)) / 2, (float(top) + float(bottom)) / 2 - 0.1 * high)
        cv2.ellipse(shade, (middle, (wide * 1.3, high * 1.5), 0.0), 1.0, -1)
        corners = (int(left - wide), int(bottom + 0.2 * high)), (int(right + wide), 10_000)
        cv2.rectangle(shade, *corners, 1.0, -1)
    inside = cv2.GaussianBlur(shade, (0, 0), rng.uniform(1, 5)) * np.float32(rng.uniform(0.7, 1))
    dark = picture * rng.uniform(0.2, 0.6) + rng.uniform(0, 30)
    bright = picture * rng.uniform(0.3, 1.0) + rng.uniform(90, 200)
    lit = dark * inside + bright * (1 - inside)
    return np.clip(lit, 0, 255).astype(np.uint8)


def _coarsen(picture: Picture, rng: Generator) -> Picture:
    height, width = picture.shape
    factor = rng.uniform(0.35, 0.9)
    small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _smear(picture: Picture, rng: Generator) -> Picture:
    length = int(rng.integers(3, 8))
    kernel = np.zeros((length, length), np.float32)
    rotation = cv2.getRotationMatrix2D(((length - 1) / 2, (length - 1) / 2), rng.uniform(0, 180), 1)
    kernel[length // 2] = 1
    turned = np.asarray(cv2.warpAffine(kernel, rotation, (length, length)), np.float32)
    turned /= max(float(turned.sum()), 1e-3)
    return np.asarray(cv2.filter2D(picture, -1, turned), np.uint8)


def _relight(picture: Picture, rng: Generator) -> Picture:
    ramp = np.linspace(0, 1, 256, dtype=np.float32) ** np.exp(rng.normal(0, 0.35))
    contrast, middle = rng.uniform(0.55, 1.35), rng.uniform(0.25, 0.75)
    dark = rng.uniform(0.25, 0.7) if rng.random() < 0.08 else 1.0
    table: Floats = ((ramp - middle) * contrast + middle + rng.normal(0, 0.06)) * dark * 255
    return np.asarray(cv2.LUT(picture, np.clip(table, 0, 255).astype(np.uint8)), np.uint8)


def _noise(picture: Picture, rng: Generator) -> Picture:
    grain = rng.standard_normal(picture.shape, np.float32) * rng.uniform(1, 9)
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


def _compress(picture: Picture, rng: Generator) -> Picture:
    quality = int(rng.integers(18, 92))
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)
