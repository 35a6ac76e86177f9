"""What the detector's photographs give the classifier: faces, and what is taken for them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from roommood.training.face.crops import square, write_crops
from roommood.training.face.data import Faces, Picture, save_faces
from roommood.training.face.teacher import Detector

POINTS = np.zeros((2, 5, 2), np.float32)
BOXES = np.array([[40, 40, 80, 90], [100, 100, 130, 135]], np.float32)


class _SeesOneThing(Detector):
    """Takes the same corner of every picture for a face."""

    def detect(
        self,
        picture: Picture,  # noqa: ARG002
        threshold: float = 0.6,  # noqa: ARG002
        iou: float = 0.4,  # noqa: ARG002
    ) -> Faces:
        return Faces(BOXES[:1], POINTS[:1], np.full(1, 0.5, np.float32))


def photographs(root: Path) -> None:
    """One picture of a certain face and of one that is not, and one of a thing."""
    for source, file in (("people", "ccp_1.png"), ("things", "imagenet_1.png")):
        folder = root / source / "images"
        folder.mkdir(parents=True)
        shown = np.random.default_rng(1).integers(0, 256, (160, 200, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / file), shown)
    certain = Faces(BOXES, POINTS, np.array([1.0, 0.3], np.float32))
    save_faces(root / "people.npz", {"ccp_1.png": certain})
    save_faces(root / "things.npz", {"imagenet_1.png": Faces.none()})


def test_certain_faces_and_false_alarms_are_written_apart(tmp_path: Path) -> None:
    photographs(tmp_path)
    faces, things = tmp_path / "faces", tmp_path / "others"
    detector = _SeesOneThing(None, 1)
    count, _ = write_crops(tmp_path, tmp_path, detector, faces, things, lambda _: None)
    assert count == len(list(faces.glob("*.png"))) == 1
    written = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in things.glob("*.png")]
    assert len(written) > 3  # one at each of three scales, and pieces from anywhere
    assert {picture.shape for picture in written if picture is not None} == {(48, 48)}


@pytest.mark.parametrize("left", [-30, 20, 60])
def test_the_square_is_centred_on_its_box_and_repeats_the_edge(left: int) -> None:
    picture = np.full((100, 100), 50, np.uint8)
    picture[30:70, 30:70] = 200
    box = np.array([left, 20, left + 60, 80], np.float32)
    crop = square(picture, box)
    assert crop.shape == (48, 48)
    bright = float((crop > 125).mean())
    assert (bright > 0.2) is (left == 20)
