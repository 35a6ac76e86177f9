"""Turning a crop upright by the eyes, to measure whether it pays."""

from pathlib import Path

import numpy as np
import pytest

from roommood.inference_worker.vision.detectors import open_detector
from roommood.inference_worker.vision.emotions import open_classifier
from roommood.inference_worker.vision.faces import Detection
from roommood.inference_worker.vision.opencv import cv2
from roommood.training.face.align import compare, labelled, roll_degrees, tilted, turned_upright
from tests.inference_worker.pictures import astronaut


def face(*eyes: tuple[float, float]) -> Detection:
    return Detection(20, 20, 40, 40, 0.9, (*eyes, (40, 40), (34, 50), (46, 50)))


def test_the_roll_is_that_of_the_line_of_the_eyes() -> None:
    assert roll_degrees(face((30, 30), (50, 30))) == 0
    assert roll_degrees(face((30, 30), (40, 40))) == pytest.approx(45)
    assert roll_degrees(Detection(0, 0, 9, 9, 0.9)) == 0


def test_turning_upright_makes_the_eyes_level() -> None:
    picture = np.zeros((80, 80, 3), np.uint8)
    for x, y in ((32, 32), (48, 48)):
        cv2.circle(picture, (x, y), 2, (255, 255, 255), -1)
    rows = np.nonzero(turned_upright(picture, face((32, 32), (48, 48)))[..., 0] > 99)[0]
    assert np.ptp(rows) <= 6


def test_a_tilted_face_is_found_tilted_by_as_much_and_both_crops_are_judged(tmp_path: Path) -> None:
    portrait = astronaut()[20:240, 110:330]
    detector = open_detector()
    found = max(detector.detect(tilted(portrait, -20, 0.6)), key=lambda one: one.score)
    level = max(detector.detect(tilted(portrait, 0, 0.6)), key=lambda one: one.score)
    assert roll_degrees(found) - roll_degrees(level) == pytest.approx(20, abs=8)
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.jpg"), portrait)
    (tmp_path / "labels.csv").write_text("image,emotion\na.jpg,happiness\ngone.jpg,anger\n")
    classifier = open_classifier(box_style=detector.box_style)
    figures = compare(labelled(tmp_path, 3), detector, classifier, 0.6)
    assert figures["0"]["faces"] == 1
    assert figures["20"]["faces"] == 2
