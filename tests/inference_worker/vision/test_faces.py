"""Which detector a setting names, and Haar on real photographs."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from roommood.inference_worker.vision import detectors, haar
from roommood.inference_worker.vision.decode import decode
from roommood.inference_worker.vision.detectors import open_detector
from roommood.inference_worker.vision.faces import Detection
from roommood.inference_worker.vision.opencv import Picture, cv2
from roommood.shared.errors import ConfigError, ModelError
from tests.inference_worker.pictures import (
    ASTRONAUT_FACE,
    GRACE_HOPPER_FACE,
    astronaut,
    grace_hopper,
    jpeg,
    overlap,
    plain,
)
from tests.inference_worker.tiny_models import face_model


def box(face: Detection) -> tuple[float, float, float, float]:
    return face.x, face.y, face.width, face.height


@pytest.mark.parametrize(
    ("picture", "truth"),
    [(astronaut(), ASTRONAUT_FACE), (grace_hopper(), GRACE_HOPPER_FACE)],
    ids=["astronaut", "grace_hopper"],
)
def test_haar_finds_the_one_face_of_a_portrait(picture: Picture, truth: tuple[int, ...]) -> None:
    faces = open_detector("haar").detect(picture)
    assert len(faces) == 1
    assert overlap(box(faces[0]), truth) > 0.7
    assert 0.5 <= faces[0].score <= 1
    assert faces[0].landmarks is None


def test_haar_finds_no_face_in_an_empty_picture() -> None:
    assert open_detector("haar").detect(plain(320, 240, 128)) == []


def test_a_larger_picture_is_shrunk_and_the_boxes_are_given_in_its_own_pixels() -> None:
    large = cv2.resize(astronaut(), (1536, 1536))
    (face,) = open_detector("haar", input_size=512).detect(np.asarray(large, np.uint8))
    assert overlap(box(face), tuple(3 * side for side in ASTRONAUT_FACE)) > 0.7


@pytest.mark.parametrize("size", [(65535, 16), (16, 65535), (16, 16)])
def test_pictures_of_extreme_shape_are_no_crash(tmp_path: Path, size: tuple[int, int]) -> None:
    for spec in ("haar", str(face_model(tmp_path / "f.onnx"))):
        assert open_detector(spec).detect(plain(*size)) == []


def test_haar_serves_several_threads_at_once() -> None:
    detector = open_detector("haar")
    alone = detector.detect(astronaut())
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(detector.detect, [astronaut()] * 8))
    assert together == [alone] * 8


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_camera_on_its_side_gives_the_same_boxes(turn: int) -> None:
    back = {90: 2, 180: 1, 270: 0}[turn]  # cv2.rotate's codes for turning the other way
    mounted = np.asarray(cv2.rotate(astronaut(), back), np.uint8)
    detector = open_detector("haar")
    (upright,) = detector.detect(decode(jpeg(astronaut())))
    (turned,) = detector.detect(decode(jpeg(mounted), turn))
    assert overlap(box(upright), box(turned)) > 0.8


def test_haars_options_are_read_from_the_setting() -> None:
    few = open_detector("haar:scale=1.3,neighbours=30").detect(astronaut())
    many = open_detector("haar:scale=1.1,neighbours=1").detect(astronaut())
    assert len(few) < len(many)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("haar:scal=1.1", "did you mean 'scale'"),
        ("haar:scale=wide", "use a number"),
        ("haar:scale=1", "1.01 to 2"),
        ("haar:neighbours=2.5", "whole number"),
    ],
)
def test_a_wrong_option_of_haar_is_an_error_that_says_what_is_right(
    spec: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        open_detector(spec)


def test_input_size_and_threshold_have_bounds() -> None:
    with pytest.raises(ConfigError, match="input size is 8"):
        open_detector("haar", input_size=8)
    with pytest.raises(ConfigError, match=r"score threshold is 1\.5"):
        open_detector("haar", score_threshold=1.5)


def test_no_setting_means_the_shipped_detector_else_haar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detectors, "SHIPPED_FACE", tmp_path / "face.onnx")
    assert open_detector().detector_id == "haar"
    face_model(tmp_path / "face.onnx")
    assert open_detector().detector_id == "face"


def test_a_missing_detector_file_is_named() -> None:
    with pytest.raises(ModelError, match=r"nowhere\.onnx: no such model file"):
        open_detector("nowhere.onnx")


def test_opencv_without_cascades_says_which_one_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(haar, "cv2", SimpleNamespace(__version__="5.0.0"))
    with pytest.raises(ModelError, match=r"opencv-python-headless>=4\.12,<5"):
        open_detector("haar")
