"""Faces for the preview, where a worker is installed on the same machine."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from roommood.camera_node.preview.viewer import FindFaces


def face_finder() -> "FindFaces | None":
    """The shipped detector, as a worker has it; None where onnxruntime is not installed."""
    if find_spec("onnxruntime") is None:
        return None
    from roommood.inference_worker.vision.detectors import open_detector

    detector = open_detector()
    return lambda pixels: [
        (face.x, face.y, face.width, face.height) for face in detector.detect(pixels)
    ]
