"""Finding faces: what every detector offers."""

from dataclasses import dataclass
from typing import Final, Literal, Protocol

from roommood.inference_worker.vision.opencv import Picture

BoxStyle = Literal["haar", "tight"]
Point = tuple[float, float]

DEFAULT_INPUT_SIZE: Final = 640


@dataclass(frozen=True, slots=True)
class Detection:
    """One face: its box in pixels of the picture, which it may overlap, and a score in 0..1.

    `certain` is False where its detector often takes something else for a face with such a
    score. `landmarks`, where the detector gives them: the eyes (that at the left of the picture
    first), the tip of the nose, the corners of the mouth (left first).
    """

    x: float
    y: float
    width: float
    height: float
    score: float
    landmarks: tuple[Point, ...] | None = None
    certain: bool = True

    @property
    def side(self) -> float:
        """The root of the box's area, in pixels."""
        return float((self.width * self.height) ** 0.5)


class FaceDetector(Protocol):
    """Finds faces. `detect` may be called from several threads at once.

    `box_style` says how its boxes lie on a face: "haar" squares from brow to chin, or boxes
    "tight" around the whole face. `detector_id` is a name of the wire's alphabet, `provider`
    what computes it. `reads_gray` is True where it makes nothing of colour: then it takes
    (H, W) gray pictures too.
    """

    @property
    def detector_id(self) -> str: ...

    @property
    def box_style(self) -> BoxStyle: ...

    @property
    def provider(self) -> str: ...

    @property
    def reads_gray(self) -> bool: ...

    def detect(self, picture: Picture) -> list[Detection]:
        """The faces in an upright (H, W, 3) BGR picture, in no particular order.

        Raises ModelError where the detector fails: that is never "no faces".
        """
        ...

    def self_test(self) -> None:
        """Raises ModelError where a model no longer gives the outputs recorded in its file."""
        ...
