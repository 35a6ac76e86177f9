"""A face without detail is unsure, whatever the classifier makes of it."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from roommood.inference_worker.vision.crops import Square, cut
from roommood.inference_worker.vision.emotions import open_classifier
from roommood.inference_worker.vision.faces import Detection
from roommood.inference_worker.vision.opencv import Picture
from roommood.inference_worker.vision.sharpness import detail, least_sure
from tests.inference_worker.pictures import ASTRONAUT_FACE, astronaut


def face(side: int = 48) -> Picture:
    """The astronaut's face as a crop that was `side` pixels wide before it became 48."""
    whole = np.asarray(cv2.cvtColor(astronaut(), cv2.COLOR_BGR2GRAY), np.uint8)
    sharp = cut(whole, Square(*ASTRONAUT_FACE[:2], 95.0), 48, 48, as_gray=True)
    small = cv2.resize(sharp, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (48, 48), interpolation=cv2.INTER_LINEAR), np.uint8)


def smeared(picture: Picture, pixels: int, *, down: bool) -> Picture:
    shape = (pixels, 1) if down else (1, pixels)
    kernel = np.full(shape, 1 / pixels, np.float32)
    return np.asarray(cv2.filter2D(picture, -1, kernel), np.uint8)


def is_sure(crop: Picture, probability: float) -> bool:
    """Whether an answer of that probability counts as sure, 0.7 being asked of a sharp face."""
    return bool(probability >= least_sure(crop[None], 0.7)[0])


@pytest.mark.parametrize("side", [48, 24, 16])
def test_a_sharp_face_is_asked_for_no_more_than_the_threshold_though_it_be_small(side: int) -> None:
    assert is_sure(face(side), 0.71)
    assert not is_sure(face(side), 0.69)


@pytest.mark.parametrize("sigma_px", [4.0, 6.0])
def test_of_a_face_out_of_focus_no_answer_is_sure(sigma_px: float) -> None:
    dull = np.asarray(cv2.GaussianBlur(face(), (0, 0), sigma_px), np.uint8)
    assert not is_sure(dull, 0.999)


@pytest.mark.parametrize("down", [False, True])
def test_of_a_face_that_moves_along_either_axis_no_answer_is_sure(down: bool) -> None:
    assert not is_sure(smeared(face(), 21, down=down), 0.999)


@pytest.mark.parametrize("down", [False, True])
def test_a_face_that_moves_a_little_has_to_show_more_clearly_what_it_shows(down: bool) -> None:
    moved = smeared(face(), 9, down=down)
    assert not is_sure(moved, 0.84)
    assert is_sure(moved, 0.86)


def test_light_and_contrast_do_not_matter() -> None:
    pale = np.asarray(face() * 0.4 + 100, np.uint8)
    for value, other in zip(detail(face()[None]), detail(pale[None]), strict=True):
        assert other == pytest.approx(value, rel=0.1)


def test_colour_and_other_sizes_are_taken_too() -> None:
    large = np.asarray(cv2.resize(face(), (112, 96)), np.uint8)
    assert is_sure(np.repeat(large[:, :, None], 3, axis=2), 0.71)


def test_of_a_crop_of_one_colour_no_answer_is_sure() -> None:
    assert not is_sure(np.full((48, 48), 200, np.uint8), 0.999)


def test_of_crops_too_small_to_tell_the_probability_alone_decides() -> None:
    assert is_sure(np.full((12, 12), 200, np.uint8), 0.71)


def test_the_classifier_is_unsure_of_a_blurred_face_of_which_it_was_sure() -> None:
    """With a threshold at which its probability alone would still make it sure."""
    classifier = open_classifier(box_style="tight")
    classifier.contract = replace(classifier.contract, sure_threshold=0.3)
    sharp = np.asarray(cv2.resize(face(), (192, 192)), np.uint8)
    dull = np.asarray(cv2.GaussianBlur(sharp, (0, 0), 24.0), np.uint8)
    whole = [Detection(11, 11, 170, 170, 1.0)]
    (before,), (after,) = classifier.classify(sharp, whole), classifier.classify(dull, whole)
    assert before.sure
    assert max(after.probabilities) >= classifier.contract.sure_threshold
    assert not after.sure
