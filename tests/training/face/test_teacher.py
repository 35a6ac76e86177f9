"""Decoding a detector's outputs, and merging what several views of a picture show."""

import numpy as np
import pytest

from roommood.training.face.data import Faces
from roommood.training.face.sources import combine
from roommood.training.face.teacher import decode, merge, mirror, pad_to_multiple, suppress


def face(box: tuple[float, float, float, float], score: float = 0.9) -> Faces:
    points = np.array([[[1, 2], [3, 2], [2, 3], [1, 4], [3, 4]]], np.float32)
    return Faces(np.array([box], np.float32), points, np.array([score], np.float32))


def outputs(with_obj: bool) -> dict[str, np.ndarray]:
    empty = {}
    for stride in (8, 16, 32):
        cells = (64 // stride) ** 2
        for name, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            empty[f"{name}_{stride}"] = np.zeros((1, cells, width), np.float32)
    empty["cls_8"][0, 10] = 0.81  # row 1, column 2 of eight columns
    empty["obj_8"][0, 10] = 0.36
    empty["bbox_8"][0, 10] = [0.5, 0.25, np.log(2), np.log(3)]
    empty["kps_8"][0, 10] = np.arange(10)
    return empty if with_obj else {k: v for k, v in empty.items() if "obj" not in k}


def test_a_cell_decodes_to_the_box_and_points_of_the_encoding() -> None:
    faces = decode(outputs(with_obj=True), 64, 64, 0.1)
    assert faces.boxes.tolist() == [pytest.approx([20 - 8, 10 - 12, 20 + 8, 10 + 12], abs=1e-4)]
    assert faces.landmarks[0, 0].tolist() == [(0 + 2) * 8, (1 + 1) * 8]
    assert faces.scores[0] == pytest.approx(0.54)


def test_without_obj_the_score_is_cls() -> None:
    assert decode(outputs(with_obj=False), 64, 64, 0.1).scores[0] == pytest.approx(0.81)


def test_of_two_overlapping_faces_the_surer_stays() -> None:
    both = face((0, 0, 10, 10), 0.5).joined(face((1, 0, 11, 10), 0.8))
    apart = face((40, 40, 50, 50), 0.3)
    kept = suppress(both.joined(apart), 0.4)
    assert kept.scores.tolist() == pytest.approx([0.8, 0.3])


def test_mirroring_swaps_the_eyes_and_undoes_itself() -> None:
    original = face((0, 0, 10, 20))
    there = mirror(original, 100)
    assert there.boxes[0].tolist() == [90, 0, 100, 20]
    assert there.landmarks[0, 0].tolist() == [97, 2]
    np.testing.assert_allclose(mirror(there, 100).landmarks, original.landmarks)


def test_a_face_seen_in_one_view_of_two_gets_half_its_score() -> None:
    twice = face((0, 0, 10, 10), 0.8).joined(face((0, 0, 10, 12), 0.8))
    merged = merge(twice.joined(face((50, 50, 60, 60), 0.8)), views=2)
    assert sorted(merged.scores.tolist()) == pytest.approx([0.4, 0.8])
    assert merged.boxes[0].tolist() == pytest.approx([0, 0, 10, 11])


def test_hand_drawn_boxes_lead_and_the_teachers_other_faces_follow() -> None:
    hand = np.array([[0, 0, 10, 10], [30, 30, 40, 40]], np.float32)
    seen = face((0, 0, 10, 12), 0.5).joined(face((70, 70, 80, 80), 0.6))
    labels = combine(hand, seen)
    assert labels.scores.tolist() == pytest.approx([0.9, 0.9, 0.6])
    assert labels.boxes[0, 3] == pytest.approx(12 - 0.3 * 2)
    assert np.isnan(labels.landmarks[1]).all()


def test_padding_reaches_the_next_multiple_at_right_and_bottom() -> None:
    padded = pad_to_multiple(np.ones((33, 64, 3), np.uint8))
    assert padded.shape == (64, 64, 3)
    assert padded[33:].sum() == 0
