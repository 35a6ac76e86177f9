"""The frames of the benchmarks: real photographs of faces, panned and zoomed, as JPEG."""

from pathlib import Path
from typing import Final

import cv2

from roommood.camera_node.sources.pictures import read_pixels
from roommood.camera_node.sources.simulated import (
    SimulatedScene,
    packaged_photographs,
    photograph_of,
)
from roommood.shared.opencv import Pixels

QUALITY: Final = 80
_APART_S: Final = 1.7


def scenes(count: int, people: int, width: int = 640, height: int = 480) -> list[Pixels]:
    """So many pictures (height, width, 3) BGR with so many people, the same at each call."""
    photographs = [photograph_of(read_pixels(path)) for path in packaged_photographs()]
    scene = SimulatedScene(photographs, width=width, height=height, people=people, name="benchmark")
    return [scene.draw(number * _APART_S) for number in range(count)]


def jpegs(count: int, people: int, width: int = 640, height: int = 480) -> list[bytes]:
    """The same as JPEG of quality 80."""
    return [encoded(picture) for picture in scenes(count, people, width, height)]


def encoded(picture: Pixels) -> bytes:
    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return jpeg.tobytes()


def write_jpegs(folder: Path, count: int, people: int) -> list[Path]:
    """A folder of JPEG files, by number."""
    files = []
    for number, jpeg in enumerate(jpegs(count, people)):
        path = folder / f"{number:03d}.jpg"
        path.write_bytes(jpeg)
        files.append(path)
    return files


def write_mjpeg(path: Path, count: int, people: int, rate_hz: float, rounds: int = 1) -> Path:
    """A video file of JPEG frames, as a webcam or a network camera gives them.

    The `count` pictures come `rounds` times: a file that is read to its end is opened again,
    which a camera is not.
    """
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate_hz, (640, 480))
    for picture in scenes(count, people) * rounds:
        writer.write(picture)
    writer.release()
    return path
