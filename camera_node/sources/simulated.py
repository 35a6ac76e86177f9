"""A camera without a camera: slow pans and zooms over real photographs of faces.

The simulated twin of a webcam: the same interface, size and rate, and pictures that a
detector and a classifier can work on. Same name and frame number, same picture.
"""

import importlib.util
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

import numpy as np

from roommood.camera_node.sources.pacing import PacedSource, Pacer
from roommood.camera_node.sources.picture import Grabbed, Picture
from roommood.camera_node.sources.pictures import picture_files, read_pixels
from roommood.shared.errors import PictureError, SourceError
from roommood.shared.opencv import Pixels, cv2, file_name
from roommood.shared.process.origin import how_to_install
from roommood.shared.security.secret_urls import shown

_DEFAULT_SIZE: Final = (640, 480)
_DEFAULT_RATE_HZ: Final = 15.0
_MAX_PEOPLE: Final = 4
_MAX_PHOTOGRAPHS: Final = 16
# Photographs of faces that come inside packages, found without importing them.
_PACKAGED: Final = (
    ("skimage", "data/astronaut.png"),
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
)
_WALL: Final = (176, 172, 168)
# Seconds that one photograph stays, and of one swing of size, left-right and up-down.
_DWELL_S, _SIZE_S, _X_S, _Y_S = 6.0, 20.0, 13.0, 17.0
_SMALLEST_FACE_PX, _LARGEST_FACE_PX = 60.0, 200.0
# A face is not blown up beyond this: there is nothing more to see in it.
_MAX_ENLARGEMENT: Final = 2.5


@dataclass(frozen=True, slots=True)
class FaceBox:
    """The square around a face: its centre and side in pixels of the photograph."""

    x: float
    y: float
    side: float


@dataclass(frozen=True, slots=True)
class Photograph:
    """A photograph in full, half, quarter ... size, and where its largest face is in the first."""

    levels: tuple[Pixels, ...]
    face: FaceBox

    def level_for(self, face_px: float) -> int:
        """The smallest level in which the face is at least this large, if any is."""
        halvings = int(math.log2(max(1.0, self.face.side / face_px)))
        return min(halvings, len(self.levels) - 1)


class SimulatedScene:
    """What a simulated camera sees: `people` photographs side by side, each panned slowly."""

    def __init__(
        self, photographs: Sequence[Photograph], *, width: int, height: int, people: int, name: str
    ) -> None:
        self._width, self._height, self._people = width, height, people
        chance = random.Random(name)
        self._order = chance.sample(list(photographs), len(photographs))
        self._phases = [[chance.random() for _ in range(3)] for _ in range(people)]
        self._start_s = chance.uniform(0.0, _DWELL_S)

    def draw(self, at_s: float) -> Pixels:
        """The picture (height, width, 3) BGR at a time in seconds since the scene began."""
        picture = np.empty((self._height, self._width, 3), np.uint8)
        edges = [round(n * self._width / self._people) for n in range(self._people + 1)]
        turn = int((at_s + self._start_s) / _DWELL_S)
        for pane, phases in enumerate(self._phases):
            photograph = self._order[(turn + pane) % len(self._order)]
            width = edges[pane + 1] - edges[pane]
            drawn = _draw_pane(photograph, width, self._height, at_s, phases)
            picture[:, edges[pane] : edges[pane + 1]] = drawn
        return picture


class SimulatedCamera(PacedSource):
    """A scene of real photographs, from a folder or from installed packages."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        people: int = 1,
        rate_hz: float | None = None,
        width: int | None = None,
        height: int | None = None,
        name: str = "",
    ) -> None:
        self._folder, self._people, self._name = folder, people, name
        self.description = f"simulated camera {name}".rstrip()
        self.rate_hz = rate_hz or _DEFAULT_RATE_HZ
        self.width, self.height = width or _DEFAULT_SIZE[0], height or _DEFAULT_SIZE[1]

    def open(self) -> None:
        files = packaged_photographs() if self._folder is None else self._files_of(self._folder)
        self._scene = SimulatedScene(
            self._load(files),
            width=self.width,
            height=self.height,
            people=self._people,
            name=self._name,
        )
        self._number = 0
        self._pacer = Pacer(self.rate_hz)

    def grab(self) -> Grabbed:
        self._captured_ms = self._wait()
        self._number += 1
        return Grabbed(self._captured_ms)

    def retrieve(self) -> Picture:
        at_s = (self._number - 1) / self.rate_hz
        return Picture.of_pixels(self._scene.draw(at_s), self._captured_ms)

    def _files_of(self, folder: Path) -> list[Path]:
        try:
            files = picture_files(folder)
        except OSError as error:
            raise SourceError(f"{self.description}: {folder} cannot be listed: {error}") from error
        return random.Random(self._name).sample(files, min(len(files), _MAX_PHOTOGRAPHS))

    def _load(self, files: Sequence[Path]) -> list[Photograph]:
        photographs, last = [], "it holds no picture file"
        for path in files:
            try:
                photographs.append(photograph_of(read_pixels(path)))
            except (PictureError, OSError) as error:
                last = f"{path.name}: {error}"
        if not photographs:
            raise SourceError(f"{self.description} has no photograph in {self._folder}: {last}")
        return photographs


def parse_simulated(
    spec: str,
    *,
    rate_hz: float | None = None,
    width: int | None = None,
    height: int | None = None,
    name: str = "",
) -> SimulatedCamera:
    """From `simulated`, `simulated:DIR` or either with `?people=2`. Raises SourceError."""
    place, _, options = spec.partition("?")
    folder = place.partition(":")[2]
    people = 1
    for key, value in parse_qsl(options, keep_blank_values=True):
        if key != "people" or value not in {str(n) for n in range(1, _MAX_PEOPLE + 1)}:
            raise SourceError(f"source {shown(spec)!r}: use people=1 to {_MAX_PEOPLE}")
        people = int(value)
    path = Path(folder).expanduser() if folder else None
    return SimulatedCamera(
        path, people=people, rate_hz=rate_hz, width=width, height=height, name=name
    )


def packaged_photographs() -> list[Path]:
    """Files of photographs inside installed packages. Raises SourceError if there are none."""
    paths = []
    for package, inside in _PACKAGED:
        spec = importlib.util.find_spec(package)
        places = spec.submodule_search_locations if spec else None
        paths += [path for place in places or () if (path := Path(place) / inside).is_file()]
    if not paths:
        raise SourceError(
            f"no photographs for a simulated camera: {how_to_install('demo')}, "
            "or give a folder of portraits as simulated:DIR"
        )
    return paths


def photograph_of(pixels: Pixels) -> Photograph:
    """Finds the largest face in BGR pixels, and shrinks what is larger than is ever shown."""
    face = find_face(pixels)
    levels = [pixels]
    while face.side / 2 ** (len(levels) - 1) > _SMALLEST_FACE_PX and min(levels[-1].shape[:2]) > 64:
        levels.append(cv2.pyrDown(levels[-1]).astype(np.uint8, copy=False))
    while len(levels) > 1 and face.side / 2 >= _LARGEST_FACE_PX:
        levels.pop(0)
        face = FaceBox(face.x / 2, face.y / 2, face.side / 2)
    return Photograph(tuple(levels), face)


def find_face(pixels: Pixels) -> FaceBox:
    """The largest frontal face by OpenCV's Haar cascade; where it finds none, the upper middle.

    Raises SourceError if this OpenCV comes without its cascades.
    """
    height, width = pixels.shape[:2]
    factor = min(1.0, 320 / min(height, width))
    grey = cv2.cvtColor(cv2.resize(pixels, None, fx=factor, fy=factor), cv2.COLOR_BGR2GRAY)
    cascade = _face_cascade()
    boxes = cascade.detectMultiScale(grey, scaleFactor=1.1, minNeighbors=6, minSize=(24, 24))
    if len(boxes) == 0:
        return FaceBox(width / 2, height * 0.4, min(width, height) * 0.4)
    x, y, side, _ = (float(value) / factor for value in max(boxes, key=lambda box: box[2]))
    return FaceBox(x + side / 2, y + side / 2, side)


def _face_cascade() -> cv2.CascadeClassifier:
    try:
        folder = Path(cv2.data.haarcascades)  # type: ignore[attr-defined]
        return cv2.CascadeClassifier(file_name(folder / "haarcascade_frontalface_default.xml"))
    except AttributeError as error:
        raise SourceError(
            "a simulated camera needs the face cascades of OpenCV 4's own wheel: "
            'pip install "opencv-python-headless>=4.12,<5"'
        ) from error


def _draw_pane(
    photograph: Photograph, width: int, height: int, at_s: float, phases: Sequence[float]
) -> Pixels:
    """The photograph, upright, its face wholly inside and of a size between the two bounds."""
    face = photograph.face
    room = 0.6 * min(width, height)
    largest = min(_LARGEST_FACE_PX, room, _MAX_ENLARGEMENT * face.side)
    smallest = min(_SMALLEST_FACE_PX, largest)
    size, sideways, upright = (
        math.sin(2 * math.pi * (at_s / period + phase))
        for period, phase in zip((_SIZE_S, _X_S, _Y_S), phases, strict=True)
    )
    face_px = smallest * (largest / smallest) ** ((1 + size) / 2)
    x = width / 2 + sideways * (width / 2 - 0.7 * face_px)
    y = height / 2 + upright * (height / 2 - 0.7 * face_px)
    level = photograph.level_for(face_px)
    scale = face_px / face.side
    onto = np.array([[1, 0, x - face.x * scale], [0, 1, y - face.y * scale]], np.float64)
    onto[0, 0] = onto[1, 1] = scale * 2**level
    drawn = cv2.warpAffine(
        photograph.levels[level], onto, (width, height), borderValue=_WALL, flags=cv2.INTER_LINEAR
    )
    return drawn.astype(np.uint8, copy=False)
