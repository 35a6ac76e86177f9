"""Streams of a room, made up: a wall under a camera's noise, and photographs of people in it."""

import math
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from benchmarks.pictures import encoded
from roommood.camera_node.sources.pictures import read_pixels
from roommood.camera_node.sources.simulated import packaged_photographs
from roommood.shared.opencv import Pixels

SIZE: Final = (640, 480)
_NOISE: Final = 3.0
# Pictures of noise, which come in turn.
_GRAINS: Final = 16
_SIDE_PX: Final = 200
# Seconds for which a person shows one face.
_DWELL_S: Final = 7.0


class Room:
    """Draws the same room at any time, in seconds since its stream began."""

    def __init__(self, seed: int = 0) -> None:
        dice = np.random.default_rng(seed)
        patches = dice.integers(70, 170, (6, 8, 3), dtype=np.uint8)
        self._wall = cv2.resize(patches, SIZE, interpolation=cv2.INTER_CUBIC).astype(np.float32)
        shape = (_GRAINS, SIZE[1], SIZE[0], 3)
        self._grain = (_NOISE * dice.standard_normal(shape, np.float32)).astype(np.float32)

    def draw(self, number: int, people: Iterable[tuple[Pixels, int, int]] = ()) -> Pixels:
        """Picture `number`, (H, W, 3) BGR, with each of the people at left and top."""
        picture = self._wall.copy()
        for person, left, top in people:
            height, width = person.shape[:2]
            picture[top : top + height, left : left + width] = person
        picture += self._grain[number * 7 % _GRAINS]
        return np.clip(picture, 0, 255).astype(np.uint8)


@cache
def _photographs() -> list[Pixels]:
    return [
        cv2.resize(read_pixels(path)[:512, :512], (_SIDE_PX, _SIDE_PX))  # type: ignore[misc]
        for path in packaged_photographs()
    ]


def seated(at_s: float, people: int = 2) -> Iterator[tuple[Pixels, int, int]]:
    """People who sit: each sways a little, and shows another face each few seconds."""
    faces = _photographs()
    for seat in range(people):
        face = faces[int(at_s / _DWELL_S + 0.37 * seat) % len(faces)]
        left = 30 + 300 * seat + round(6 * math.sin(at_s / 3 + seat))
        yield face, left, 200 + round(4 * math.sin(at_s / 2 + 2 * seat))


def passing(at_s: float) -> Iterator[tuple[Pixels, int, int]]:
    """Somebody walks through for 4 s, sits for 10 s, or is not there, in turns of 24 s."""
    face, phase_s = _photographs()[int(at_s / 24.0) % len(_photographs())], at_s % 24.0
    if phase_s < 4.0:
        yield face, round(phase_s / 4.0 * (SIZE[0] - _SIDE_PX)), 180
    elif 8.0 <= phase_s < 18.0:
        yield face, 220 + round(5 * math.sin(at_s)), 200


def visitor() -> Iterator[tuple[Pixels, int, int]]:
    """One person who stands in the room."""
    yield _photographs()[0], 220, 200


def write_stream(folder: Path, pictures: Iterator[Pixels]) -> Path:
    """A folder of JPEG files, by number, as `benchmarks.memory_camera` reads it."""
    folder.mkdir()
    for number, picture in enumerate(pictures):
        (folder / f"{number:05d}.jpg").write_bytes(encoded(picture))
    return folder
