"""Labelled face crops from a camera or pictures: the part without a terminal.

Faces are found and cut by the product's own detector and crop, so that what is collected looks
like what a worker will show to the classifier.
"""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Final

from roommood.camera_node.sources.picture import EndOfSource, Source
from roommood.camera_node.sources.picture import Picture as Capture
from roommood.inference_worker.models.contract import CropContract
from roommood.inference_worker.vision.crops import Square, cut, square_of
from roommood.inference_worker.vision.decode import decode
from roommood.inference_worker.vision.faces import Detection, FaceDetector
from roommood.inference_worker.vision.opencv import Picture
from roommood.shared.errors import ModelError, PictureError
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.training.collect.collection import MARGIN, Collection, Kept

KEYS: Final = dict(zip("nhrsadfc", EXPRESSIONS, strict=True))
SKIP: Final = " "
UNDO: Final = ("u", "\x7f", "\b")
QUIT: Final = ("q", "")
SMALLEST_PX: Final = 72
LARGEST_PX: Final = 192

Counts = dict[str, int]


@dataclass(frozen=True, eq=False)
class FaceCrop:
    """A face with its margin, (k, k, 3) BGR; `side_px` is what its box measured in the frame."""

    pixels: Picture
    side_px: float


# Shows a face and the counts so far; gives the key pressed, "" when there are no more.
Ask = Callable[[FaceCrop, Counts], str]


class FaceFinder:
    """Cuts the faces out of pictures; those under `min_side_px` are left out.

    `seen` counts pictures that were looked at, `faceless` those of them in which no face was found,
    `too_small` those in which all were left out, and `damaged` those that could not be read.
    """

    def __init__(self, detector: FaceDetector, crop: CropContract, min_side_px: float) -> None:
        """Raises ModelError where the classifier's contract has no crop for such boxes."""
        placement = getattr(crop, detector.box_style)
        if placement is None:
            raise ModelError(f"the classifier has no crop for {detector.box_style!r} boxes")
        self._detector, self._crop, self._placement = detector, crop, placement
        self._min_side_px = min_side_px
        self.seen = self.faceless = self.too_small = self.damaged = 0

    def faces_of(self, source: Source) -> Generator[FaceCrop, None, None]:
        """Every face of a source until its end, those of one picture by size."""
        with source:
            while True:
                try:
                    yield from self.faces_in(_pixels(source.read()))
                except EndOfSource:
                    return
                except PictureError:
                    self.damaged += 1

    def faces_in(self, picture: Picture) -> list[FaceCrop]:
        """The faces of one upright BGR picture, the largest first."""
        faces = sorted(self._detector.detect(picture), key=lambda face: face.side, reverse=True)
        large = [face for face in faces if face.side >= self._min_side_px]
        self.seen += 1
        self.faceless += not faces
        self.too_small += bool(faces and not large)
        return [FaceCrop(self._cut(picture, face), face.side) for face in large]

    def _cut(self, picture: Picture, face: Detection) -> Picture:
        square = _widened(square_of(face, self._crop, self._placement))
        side = round(min(max(square.side, SMALLEST_PX), LARGEST_PX))
        return cut(picture, square, side, side, as_gray=False)


def label_all(
    faces: Iterable[FaceCrop],
    collection: Collection,
    expression: str,
    limit: int,
    kept: Callable[[int], None],
) -> int:
    """Keep up to `limit` faces under one label; `kept` hears how many there are so far."""
    number = 0
    for face in faces:
        collection.keep(expression, face.pixels)
        number += 1
        kept(number)
        if number >= limit:
            break
    return number


def label_each(faces: Iterable[FaceCrop], collection: Collection, ask: Ask) -> int:
    """Ask for each face which expression it shows, until the faces or the answers end.

    An undone face is shown again. Keys without a meaning are ignored. Gives how many were kept.
    """
    history: list[tuple[FaceCrop, Kept]] = []
    for face in faces:
        waiting = [face]
        while waiting:
            key = ask(waiting[-1], collection.counts)
            if key in QUIT:
                return len(history)
            if key in UNDO and history:
                last, kept = history.pop()
                collection.drop(kept)
                waiting.append(last)
            elif key == SKIP:
                waiting.pop()
            elif (expression := expression_for(key)) is not None:
                shown = waiting.pop()
                history.append((shown, collection.keep(expression, shown.pixels)))
    return len(history)


def expression_for(key: str) -> str | None:
    """The expression of a letter or of a digit from 1, in the wire's order."""
    if key in tuple("12345678"):
        return EXPRESSIONS[int(key) - 1]
    return KEYS.get(key)


def _widened(square: Square) -> Square:
    extra = MARGIN * square.side
    return Square(square.left - extra, square.top - extra, square.side + 2 * extra)


def _pixels(capture: Capture) -> Picture:
    if capture.jpeg is not None:
        return decode(capture.jpeg)
    assert capture.pixels is not None
    return capture.pixels
