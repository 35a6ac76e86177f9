"""Made-up rooms, empty and with somebody in them, under a camera's noise."""

import cv2
import numpy as np

from roommood.inference_worker.vision.opencv import Picture


def room(width: int = 640, height: int = 480, *, noise: float = 0.0, seed: int = 0) -> Picture:
    """An empty room, (H, W, 3) BGR: always the same one, under other noise for each seed."""
    patches = np.random.default_rng(7).integers(60, 180, (6, 8, 3), dtype=np.uint8)
    wall = cv2.resize(patches, (width, height), interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(seed).normal(0.0, noise, wall.shape) if noise else 0.0
    picture: Picture = np.clip(wall + grain, 0, 255).astype(np.uint8)
    return picture


def person_in(picture: Picture, x: int, height_px: int) -> Picture:
    """The picture with somebody who stands in it, so tall, at `x`: a head and a coat."""
    person, bottom = picture.copy(), picture.shape[0]
    head = height_px // 7
    top, middle = bottom - height_px, x + head
    cv2.rectangle(person, (x, top + head), (x + 2 * head, bottom), (60, 45, 40), -1)
    cv2.circle(person, (middle, top + head // 2), head // 2, (120, 150, 200), -1)
    return person


def encoded(picture: Picture, quality: int = 80) -> bytes:
    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return jpeg.tobytes()
