"""A face without detail is unsure, whatever the classifier makes of it."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from roommood.inference_worker.vision.crops import Square, cut
from roommood.inference_worker.vision.emotions import open_classifier
from roommood.inference_worker.vision.faces import Detection
from roommood.inference_worker.vision.opencv import Picture
from roommood.inference_worker.vision.sharpness import blurred, detail
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


@pytest.mark.parametrize("side", [48, 24, 16])
def test_a_sharp_face_is_not_blurred_though_it_be_small(side: int) -> None:
    assert not blurred(face(side)[None])[0]


@pytest.mark.parametrize("sigma_px", [4.0, 6.0])
def test_a_face_out_of_focus_is_blurred(sigma_px: float) -> None:
    dull = np.asarray(cv2.GaussianBlur(face(), (0, 0), sigma_px), np.uint8)
    assert blurred(dull[None])[0]


@pytest.mark.parametrize("down", [False, True])
def test_a_face_that_moves_along_either_axis_is_blurred(down: bool) -> None:
    assert blurred(smeared(face(), 21, down=down)[None])[0]


def test_light_and_contrast_do_not_matter() -> None:
    pale = np.asarray(face() * 0.4 + 100, np.uint8)
    for one, other in zip(detail(face()[None]), detail(pale[None]), strict=True):
        assert other == pytest.approx(one, rel=0.1)


def test_colour_and_other_sizes_are_taken_too() -> None:
    large = np.asarray(cv2.resize(face(), (112, 96)), np.uint8)
    assert not blurred(np.repeat(large[None, :, :, None], 3, axis=3))[0]


def test_a_crop_of_one_colour_is_blurred() -> None:
    assert blurred(np.full((1, 48, 48), 200, np.uint8)).tolist() == [True]


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
