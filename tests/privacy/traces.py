"""Looks for a picture in everything that a site leaves behind, on disk or backed by memory."""

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from roommood.inference_worker.vision.opencv import Picture, cv2

_LENGTH: Final = 48
_SLICES: Final = 8
_JPEG_STARTS: Final = (b"\xff\xd8\xff\xe0\x00\x10JFIF", b"\xff\xd8\xff\xe1", b"\xff\xd8\xff\xdb")
_MOST_BYTES: Final = 256 << 20


class Tracer:
    """Knows some pictures: their bytes, plain, in base64 and in hex, and rows of their pixels."""

    def __init__(self, *jpegs: bytes) -> None:
        self._needles: dict[bytes, str] = dict.fromkeys(_JPEG_STARTS, "the start of a JPEG")
        for jpeg in jpegs:
            self._learn_bytes(jpeg, "bytes of the JPEG")
            for flag, name in ((cv2.IMREAD_COLOR, "colour"), (cv2.IMREAD_GRAYSCALE, "gray")):
                self._learn_pixels(cv2.imdecode(np.frombuffer(jpeg, np.uint8), flag), name)

    def _learn_bytes(self, data: bytes, name: str) -> None:
        for at in range(len(data) // 4, len(data) - 2 * _LENGTH, len(data) // _SLICES):
            part = data[at : at + _LENGTH]
            self._needles[part] = name
            self._needles[part.hex().encode()] = f"{name} in hex"
            for shift in range(3):
                whole = base64.b64encode(data[at + shift : at + shift + _LENGTH])
                self._needles[whole] = f"{name} in base64"

    def _learn_pixels(self, picture: Any, name: str) -> None:
        for row in picture[:: max(1, len(picture) // _SLICES)]:
            part = row.tobytes()[len(row) // 2 :][:_LENGTH]
            # A row without contrast is found in anything.
            if len(set(part)) > 12:
                self._needles[part] = f"{name} pixels"

    def find_in(self, data: bytes, where: str) -> list[str]:
        """What of the pictures is in the bytes, in words."""
        return sorted(
            {f"{where}: {name}" for needle, name in self._needles.items() if needle in data}
        )

    def find_in_files(self, *folders: Path) -> list[str]:
        traces = []
        for path in (path for folder in folders for path in folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                traces += self.find_in(_read(path), str(path))
        return traces

    def find_in_process(self, pid: int) -> list[str]:
        """In whatever regular file the process has open: deleted ones and memfds too."""
        traces = []
        for path in open_files(pid):
            traces += self.find_in(_read(path), f"{path} -> {os.readlink(path)}")
        return traces

    def find_in_redis(self, client: Any) -> list[str]:
        """In every key, as Redis would write it to disk."""
        traces = []
        for key in client.scan_iter("*", count=1000):
            traces += self.find_in(key, "a key") + self.find_in(client.dump(key) or b"", repr(key))
        return traces


def open_files(pid: int) -> Iterator[Path]:
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if path.stat().st_mode & 0o170000 == 0o100000:
                yield path
        except OSError:
            continue


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES)
    except OSError:
        return b""


def new_files(folder: Path, since: float) -> Iterator[Path]:
    """Files directly in a folder that were written since a moment (`time.time`)."""
    for path in folder.iterdir():
        try:
            if path.is_file() and path.stat().st_mtime >= since:
                yield path
        except OSError:
            continue


def recognisable(seed: int = 1) -> Picture:
    """A face beside noise that no other picture has."""
    from tests.inference_worker.pictures import astronaut

    noise = np.random.default_rng(seed).integers(0, 256, (240, 120, 3), dtype=np.uint8)
    face = cv2.resize(astronaut()[0:256, 100:356], (240, 240))
    return np.hstack([face, noise]).astype(np.uint8)
