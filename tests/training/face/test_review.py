"""The teacher looks at every finished crop: what it cannot see there is not learnt."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from roommood.training.face.data import Faces, Picture
from roommood.training.face.review import CERTAIN, review
from roommood.training.face.teacher import Detector

UPRIGHT, LYING = 0.0, np.pi / 2


def face(left: float, side: float = 40, score: float = 0.9, angle: float = UPRIGHT) -> Faces:
    box = np.array([[left, 10, left + side, 10 + side]], np.float32)
    along = np.array([np.cos(angle), np.sin(angle)]) * side / 4
    middle = np.array([left + side / 2, 10 + side / 2])
    points = np.array([[middle - along, middle + along, middle, middle, middle]], np.float32)
    return Faces(box, points, np.array([score], np.float32))


@dataclass(frozen=True)
class _Sees(Detector):
    """A teacher that sees the same faces in every view."""

    faces: Faces = field(default_factory=Faces.none)

    def detect(
        self,
        picture: Picture,
        threshold: float = 0.6,  # noqa: ARG002
        iou: float = 0.4,  # noqa: ARG002
    ) -> Faces:
        factor = max(picture.shape) / 320
        seen = Faces(self.faces.boxes * factor, self.faces.landmarks * factor, self.faces.scores)
        mirrored = seen.boxes[:, [2, 1, 0, 3]] * np.array([-1, 1, -1, 1]) + np.array(
            [picture.shape[1], 0, picture.shape[1], 0]
        )
        boxes = mirrored if abs(factor - 1.6) < 0.1 else seen.boxes
        return Faces(boxes.astype(np.float32), seen.landmarks, seen.scores)


def reviewed(faces: Faces, seen: Faces) -> Faces:
    return review(np.zeros((320, 320), np.uint8), faces, _Sees(None, 3, faces=seen))


def test_a_face_seen_clearly_stays_and_one_not_seen_is_ignored() -> None:
    both = face(20).joined(face(200))
    assert reviewed(both, face(20)).scores.tolist() == pytest.approx([0.9, 0])


def test_a_face_that_is_hard_to_see_scores_lower() -> None:
    assert 0.4 < reviewed(face(20), face(20, score=0.5)).scores[0] < 0.8


@pytest.mark.parametrize(
    "spared", [face(20, angle=LYING), face(20, score=CERTAIN)], ids=["lying", "annotated"]
)
def test_the_teacher_does_not_judge_lying_faces_nor_what_annotators_saw(spared: Faces) -> None:
    assert reviewed(spared, Faces.none()).scores.tolist() == spared.scores.tolist()


def test_an_annotated_face_too_small_to_be_sure_of_is_judged() -> None:
    assert reviewed(face(20, side=14, score=CERTAIN), Faces.none()).scores.tolist() == [0]


def test_a_box_moves_halfway_to_where_the_teacher_clearly_sees_it() -> None:
    moved = reviewed(face(20), face(30))
    assert moved.boxes[0].tolist() == pytest.approx([25, 10, 65, 50], abs=0.2)
    assert reviewed(face(20), face(21)).boxes[0].tolist() == [20, 10, 60, 50]


def test_a_crop_without_faces_is_left_alone() -> None:
    assert len(reviewed(Faces.none(), face(20))) == 0
