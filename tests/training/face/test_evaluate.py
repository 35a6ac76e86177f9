"""Average precision by size, on cases that can be counted by hand."""

import numpy as np
import pytest

from roommood.training.face.data import Faces
from roommood.training.face.evaluate import Judged, average_precision, fit, recall, strays

PICTURE = np.zeros((8, 8, 3), np.uint8)


def faces_at(*boxes: tuple[float, float, float, float, float]) -> Faces:
    rows = np.array(boxes, np.float32).reshape(-1, 5)
    return Faces(rows[:, :4], np.zeros((len(rows), 5, 2), np.float32), rows[:, 4])


def truth(*boxes: tuple[float, float, float, float], optional: tuple[bool, ...] = ()) -> Judged:
    marks = np.array(optional or (False,) * len(boxes), bool)
    return Judged(PICTURE, np.array(boxes, np.float32).reshape(-1, 4), marks)


def test_finding_everything_and_nothing_else_is_one() -> None:
    assert average_precision([faces_at((0, 0, 40, 40, 0.9))], [truth((0, 0, 40, 42))]) == 1


def test_a_surer_false_alarm_halves_it_and_a_second_box_on_a_face_is_one() -> None:
    judged = [truth((0, 0, 40, 40))]
    alarm = [faces_at((90, 90, 130, 130, 0.95), (0, 0, 40, 40, 0.9))]
    assert average_precision(alarm, judged) == pytest.approx(0.5)
    twice = [faces_at((0, 0, 40, 40, 0.9), (0, 0, 40, 39, 0.8)), faces_at((0, 0, 40, 40, 0.7))]
    assert average_precision(twice, judged * 2) == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_faces_outside_the_band_count_neither_as_found_nor_as_missed() -> None:
    judged = [truth((0, 0, 40, 40), (100, 100, 110, 110))]
    detections = [faces_at((0, 0, 40, 40, 0.5), (100, 100, 110, 110, 0.9), (200, 0, 205, 5, 0.99))]
    assert average_precision(detections, judged, low=32) == 1
    assert average_precision([faces_at()], judged, low=32) == 0


def test_optional_faces_may_be_found_or_not() -> None:
    judged = [truth((0, 0, 40, 40), (100, 0, 140, 40), optional=(False, True))]
    detections = [faces_at((100, 0, 140, 40, 0.9), (101, 0, 140, 40, 0.8), (0, 0, 40, 40, 0.5))]
    assert average_precision(detections, judged) == 1
    assert average_precision([faces_at((0, 0, 40, 40, 0.5))], judged) == 1


def test_without_faces_there_is_no_precision_to_speak_of() -> None:
    assert np.isnan(average_precision([faces_at()], [truth()]))


def test_fitting_keeps_the_proportions() -> None:
    for shape in ((300, 200, 3), (900, 600, 3)):
        frame, scale = fit(np.full(shape, 255, np.uint8))
        assert frame.shape == (480, 320, 3)
        assert scale == pytest.approx(480 / shape[0])


def test_recall_and_strays_count_what_is_above_the_threshold() -> None:
    judged = [truth((0, 0, 40, 40), (100, 0, 110, 10)), truth((0, 0, 40, 40))]
    detections = [
        faces_at((0, 0, 40, 40, 0.9), (300, 0, 340, 40, 0.9)),
        faces_at((0, 0, 40, 40, 0.3)),
    ]
    assert recall(detections, judged, 0.5, low=32) == 0.5
    assert recall(detections, judged, 0.2) == pytest.approx(2 / 3, abs=1e-4)
    assert strays(detections, judged, 0.5) == 0.5
