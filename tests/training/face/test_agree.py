"""What two teachers say together."""

import numpy as np
import pytest

from roommood.training.face.agree import agree, empty_of_people
from roommood.training.face.data import Faces


def face(left: float, score: float) -> Faces:
    box = np.array([[left, 10, left + 40, 60]], np.float32)
    return Faces(box, np.full((1, 5, 2), left, np.float32), np.array([score], np.float32))


def test_a_face_that_both_see_is_certain_and_lies_between_their_boxes() -> None:
    both = agree(face(10, 0.3), face(14, 0.6), with_animals=False)
    assert both.boxes[0].tolist() == [12, 10, 52, 60]
    assert both.landmarks[0, 0].tolist() == [12, 12]
    assert both.scores.tolist() == [1.0]


def test_where_it_may_be_an_animal_both_must_be_sure() -> None:
    doubted = agree(face(10, 0.3), face(14, 0.6), with_animals=True)
    assert doubted.scores.tolist() == pytest.approx([0.45])
    assert agree(face(10, 0.5), face(14, 0.6), with_animals=True).scores.tolist() == [1.0]


def test_scrfd_alone_is_believed_only_where_no_animal_can_be_meant() -> None:
    assert agree(Faces.none(), face(10, 0.6), with_animals=False).scores.tolist() == [1.0]
    assert agree(Faces.none(), face(10, 0.6), with_animals=True).scores.tolist() == [
        pytest.approx(0.3)
    ]


def test_what_yunet_alone_sees_is_unclear_and_what_is_faint_is_nothing() -> None:
    assert agree(face(10, 0.9), Faces.none(), with_animals=False).scores.tolist() == [
        pytest.approx(0.3)
    ]
    assert len(agree(face(10, 0.2), face(100, 0.2), with_animals=False)) == 0


def test_a_picture_of_things_is_empty_where_scrfd_alone_sees_a_face() -> None:
    assert empty_of_people(Faces.none(), face(10, 0.9))
    assert not empty_of_people(face(10, 0.3), face(12, 0.3))
    assert not empty_of_people(face(10, 0.6), Faces.none())
