"""One frame through the whole pipeline."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from roommood.inference_worker.vision.analysis import Analyzer, open_analyzer
from roommood.inference_worker.vision.detectors import open_detector
from roommood.inference_worker.vision.emotions import open_classifier
from roommood.inference_worker.vision.faces import BoxStyle, Detection, FaceDetector
from roommood.inference_worker.vision.opencv import Picture, cv2
from roommood.shared.errors import ModelError, PictureDamaged
from roommood.shared.protocol.emotions import SIZE_CLASSES
from roommood.shared.protocol.limits import MAX_FACES
from tests.inference_worker.pictures import (
    ASTRONAUT_FACE,
    astronaut,
    grace_hopper,
    jpeg,
    overlap,
    plain,
)
from tests.inference_worker.rooms import encoded, room
from tests.inference_worker.tiny_models import expression_metadata, expression_model, face_model


class Fixed:
    """A detector that finds what it was told to."""

    box_style: BoxStyle = "tight"
    detector_id = "fixed"
    provider = "none"
    reads_gray = False

    def __init__(self, *faces: Detection) -> None:
        self._faces = list(faces)

    def detect(self, picture: Picture) -> list[Detection]:
        assert picture.ndim == 3
        return self._faces

    def self_test(self) -> None:
        pass


class Coloured:
    """A detector that is given colour, whatever it reads."""

    reads_gray = False

    def __init__(self, detector: FaceDetector) -> None:
        self.box_style = detector.box_style
        self.detector_id, self.provider = detector.detector_id, detector.provider
        self.detect, self.self_test = detector.detect, detector.self_test


@pytest.fixture(scope="module")
def shipped() -> Analyzer:
    """The shipped models."""
    return open_analyzer()


@pytest.fixture
def expression(tmp_path: Path) -> str:
    first, lighter = (2, *[0] * 7), (1, *[0] * 7)
    return str(expression_model(tmp_path / "expression.onnx", brightness=lighter, bias=first))


def analyzer(expression: str, *faces: Detection) -> Analyzer:
    return Analyzer(Fixed(*faces), open_classifier(expression, box_style="tight"))


def test_whoever_comes_into_an_empty_room_is_found_at_the_next_look(shipped: Analyzer) -> None:
    """What a camera sends of a living room, and the shipped models."""
    empty = shipped.analyze(encoded(room(noise=3.0, seed=1)))
    assert empty.faces == ()
    assert empty.glance is not None
    for seed in range(2, 12):
        assert shipped.repeats(empty.glance, encoded(room(noise=3.0, seed=seed)))
    for side in (60, 120, 240):
        face = cv2.resize(astronaut()[0:256, 96:352], (2 * side, 2 * side))
        come_in = room(noise=3.0, seed=99)
        come_in[200 : 200 + min(280, 2 * side), 100 : 100 + 2 * side] = face[:280]
        assert not shipped.repeats(empty.glance, encoded(come_in))
        assert len(shipped.analyze(encoded(come_in)).faces) == 1


def test_somebody_in_the_picture_leaves_nothing_to_be_compared_with(shipped: Analyzer) -> None:
    assert shipped.analyze(encoded(astronaut())).glance is None


def test_a_portrait_gives_one_face_with_probabilities_and_timings(expression: str) -> None:
    analysis = open_analyzer("haar", expression).analyze(jpeg(astronaut()))
    (face,) = analysis.faces
    assert overlap(face.box, ASTRONAUT_FACE) > 0.7
    assert all(isinstance(side, int) for side in face.box)
    assert SIZE_CLASSES[face.size] == "large"
    assert sum(face.probabilities) == pytest.approx(1, abs=1e-4)
    assert face.probabilities[0] == round(face.probabilities[0], 5) > 0.5
    assert face.sure
    assert min(analysis.decode_ms, analysis.detect_ms, analysis.classify_ms) > 0


def test_a_picture_without_faces_gives_none(expression: str) -> None:
    assert open_analyzer("haar", expression).analyze(jpeg(plain(320, 240, 90))).faces == ()


def test_a_turned_camera_gives_the_boxes_of_the_upright_picture(expression: str) -> None:
    whole = open_analyzer("haar", expression)
    (upright,) = whole.analyze(jpeg(grace_hopper())).faces
    turned = np.ascontiguousarray(np.rot90(grace_hopper()))  # a quarter against the clock
    (back,) = whole.analyze(jpeg(turned), 90).faces
    assert overlap(upright.box, back.box) > 0.8


def test_of_too_many_faces_the_largest_count(expression: str) -> None:
    faces = [Detection(1, 1, side, side, 0.5) for side in range(10, 11 + MAX_FACES)]
    faces_kept = analyzer(expression, *faces).analyze(jpeg(plain(128, 128))).faces
    sides = [face.box[2] for face in faces_kept]
    assert sides == list(range(10 + MAX_FACES, 10, -1))


def test_boxes_and_scores_are_kept_in_the_wires_ranges(expression: str) -> None:
    far = Detection(-1e6, 2.6, 1e7, 30.4, 1.2)
    (face,) = analyzer(expression, far).analyze(jpeg(plain(64, 64))).faces
    assert face.box == (-65535, 3, 65535, 30)
    assert face.score == 1.0


def test_a_damaged_picture_is_an_error(expression: str) -> None:
    with pytest.raises(PictureDamaged):
        analyzer(expression).analyze(jpeg(astronaut())[:5000])


def test_a_crash_of_a_model_is_never_no_faces(tmp_path: Path, expression: str) -> None:
    broken = face_model(tmp_path / "f.onnx", gains=(np.nan, 0, 0))
    whole = Analyzer(open_detector(str(broken)), open_classifier(expression, box_style="tight"))
    with pytest.raises(ModelError):
        whole.analyze(jpeg(astronaut()))
    with pytest.raises(ModelError):
        whole.warm_up()


def test_one_analyzer_serves_several_threads(tmp_path: Path, expression: str) -> None:
    whole = open_analyzer(str(face_model(tmp_path / "f.onnx")), expression, score_threshold=0.9)
    whole.warm_up()
    whole.self_test()
    frames = []
    for number in range(24):
        picture = plain(128, 96)
        picture[32:40, 8 * (number % 12) : 8 * (number % 12) + 8] = 255
        frames.append(jpeg(picture))
    with ThreadPoolExecutor(4) as pool:
        analyses = list(pool.map(whole.analyze, frames))
    assert [analysis.faces[0].box[0] for analysis in analyses] == [8 * (n % 12) for n in range(24)]


def test_a_self_test_that_fails_stops_the_worker(tmp_path: Path) -> None:
    wrong = {"seed": 1, "probabilities": [[1.0, 0, 0, 0, 0, 0, 0, 0]] * 2}
    file = expression_model(tmp_path / "e.onnx", expression_metadata(selftest=wrong))
    with pytest.raises(ModelError, match="self-test is off"):
        analyzer(str(file)).self_test()


def test_models_that_make_nothing_of_colour_are_given_the_luma_and_answer_the_same(
    expression: str,
) -> None:
    whole, picture = open_analyzer("haar", expression), jpeg(astronaut())
    in_gray = whole.analyze(picture).faces
    from_colour = Analyzer(Coloured(whole.detector), whole.classifier).analyze(picture).faces
    assert [face.box for face in in_gray] == [face.box for face in from_colour]
    assert in_gray[0].probabilities == pytest.approx(from_colour[0].probabilities, abs=0.02)
