"""What happens to one frame: decode, detect, classify."""

import time
from dataclasses import dataclass
from typing import Final

import numpy as np

from roommood.inference_worker.vision.decode import decode
from roommood.inference_worker.vision.detectors import open_detector
from roommood.inference_worker.vision.emotions import (
    Expression,
    ExpressionClassifier,
    open_classifier,
)
from roommood.inference_worker.vision.faces import DEFAULT_INPUT_SIZE, Detection, FaceDetector
from roommood.inference_worker.vision.glance import glance_at
from roommood.inference_worker.vision.opencv import Picture
from roommood.shared.glance import glance_of, unchanged
from roommood.shared.protocol.emotions import size_class
from roommood.shared.protocol.limits import MAX_FACES
from roommood.shared.protocol.messages import Face, Frame

_FARTHEST_PX: Final = 65_535
_DIGITS: Final = 5
_WARM_UP_SIZE: Final = (480, 640)


@dataclass(frozen=True, slots=True)
class Analysis:
    """The faces of one frame, largest first, and the milliseconds that each step took.

    `glance`, where there are none, is what a later picture is compared with (`Analyzer.repeats`).
    """

    faces: tuple[Face, ...] = ()
    decode_ms: float = 0.0
    detect_ms: float = 0.0
    classify_ms: float = 0.0
    glance: Picture | None = None


class Analyzer:
    """The whole analysis of a frame. One instance serves all compute threads.

    It keeps nothing between frames; what a thread needs for itself (a cascade, an input
    tensor) its parts keep per thread.
    """

    def __init__(self, detector: FaceDetector, classifier: ExpressionClassifier) -> None:
        self.detector = detector
        self.classifier = classifier

    @property
    def reads_gray(self) -> bool:
        """Both models make nothing of colour."""
        return self.detector.reads_gray and self.classifier.reads_gray

    def look(self, frame: Frame, age_ms: float) -> Analysis:  # noqa: ARG002 (for who overrides it)
        """What a compute thread does with a camera's frame, `age_ms` after its capture.

        Code of one's own for each frame stands in a subclass, here: see examples/own_frames.py.
        It is called from each of the worker's threads, and raises as `analyze` does.
        """
        return self.analyze(frame.jpeg, frame.rotation)

    def analyze(self, jpeg: bytes, rotation: int = 0) -> Analysis:
        """Faces and expressions of one JPEG, to be turned `rotation` degrees clockwise.

        Boxes are in pixels of the upright picture. Of more than MAX_FACES the largest count.

        Raises:
            PictureError: the picture cannot be used (see `decode`).
            ModelError: a model failed; that is never "no faces".
        """
        began = time.perf_counter()
        picture = decode(jpeg, rotation, as_gray=self.reads_gray)
        decoded = time.perf_counter()
        detections = _largest(self.detector.detect(picture))
        detected = time.perf_counter()
        expressions = self.classifier.classify(picture, detections)
        classified = time.perf_counter()
        return Analysis(
            faces=tuple(map(_face, detections, expressions)),
            decode_ms=(decoded - began) * 1000,
            detect_ms=(detected - decoded) * 1000,
            classify_ms=(classified - detected) * 1000,
            glance=None if detections else glance_of(picture),
        )

    def repeats(self, glance: Picture, jpeg: bytes, rotation: int = 0) -> bool:
        """Whether a JPEG shows what an earlier one without faces did. Raises PictureError."""
        return unchanged(glance, glance_at(jpeg, rotation))

    def warm_up(self) -> None:
        """Run both models once on blank input; worth doing in each compute thread."""
        shape = _WARM_UP_SIZE if self.reads_gray else (*_WARM_UP_SIZE, 3)
        self.detector.detect(np.zeros(shape, np.uint8))
        self.classifier.warm_up()

    def self_test(self) -> None:
        """Raises ModelError where a model does not give its recorded outputs."""
        self.detector.self_test()
        self.classifier.self_test()


def open_analyzer(
    detector: str = "",
    classifier: str = "",
    *,
    input_size: int = DEFAULT_INPUT_SIZE,
    score_threshold: float | None = None,
    provider: str = "cpu",
    kind: type[Analyzer] = Analyzer,
) -> Analyzer:
    """Both models as named by settings, the classifier tried out: see `open_detector`,
    `open_classifier` and `ExpressionClassifier.try_out`."""
    faces = open_detector(
        detector, input_size=input_size, score_threshold=score_threshold, provider=provider
    )
    expressions = open_classifier(classifier, box_style=faces.box_style, provider=provider)
    expressions.try_out()
    return kind(faces, expressions)


def _largest(detections: list[Detection]) -> list[Detection]:
    return sorted(detections, key=lambda face: face.side, reverse=True)[:MAX_FACES]


def _face(detection: Detection, expression: Expression) -> Face:
    d = detection
    return Face(
        box=(_pixel(d.x), _pixel(d.y), max(0, _pixel(d.width)), max(0, _pixel(d.height))),
        score=round(min(max(d.score, 0.0), 1.0), _DIGITS),
        size=size_class(d.width, d.height),
        probabilities=tuple([round(p, _DIGITS) for p in expression.probabilities]),
        sure=expression.sure,
    )


def _pixel(value: float) -> int:
    return min(max(round(value), -_FARTHEST_PX), _FARTHEST_PX)
