"""What tells the groups apart for which a detector is judged."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from roommood.training.face.data import Faces, Picture, save_faces
from roommood.training.face.groups import by_group
from roommood.training.face.teacher import Detector

POINTS = np.array([[[40, 45], [60, 45], [50, 55], [42, 65], [58, 65]]], np.float32)
BOX = np.array([[30, 25, 70, 80]], np.float32)
TONES = {"light": (190, 205, 230), "dark": (50, 75, 105)}


class _SeesOne(Detector):
    """Finds the face where the picture is bright."""

    def detect(
        self,
        picture: Picture,
        threshold: float = 0.6,  # noqa: ARG002
        iou: float = 0.4,  # noqa: ARG002
    ) -> Faces:
        seen = Faces(BOX, POINTS, np.ones(1, np.float32))
        return seen if picture.mean() > 150 else Faces.none()


def test_dark_cheeks_are_counted_apart_and_what_is_missed_shows(tmp_path: Path) -> None:
    (tmp_path / "people" / "images").mkdir(parents=True)
    known = {}
    for number, tone in enumerate(TONES.values()):
        name = f"coco_{number}.png"
        shown = np.full((120, 120, 3), tone, np.uint8)
        cv2.imwrite(str(tmp_path / "people" / "images" / name), shown)
        known[name] = Faces(BOX, POINTS, np.ones(1, np.float32))
    save_faces(tmp_path / "people.npz", known)
    groups = by_group(tmp_path, tmp_path, _SeesOne(None, 1))
    assert groups["cheeks light"].found == 1.0
    assert groups["cheeks dark"].found == 0.0
    assert groups["head towards the camera"].faces == 2


def test_small_faces_are_told_apart_from_large_ones(tmp_path: Path) -> None:
    (tmp_path / "people" / "images").mkdir(parents=True)
    shown = np.full((120, 120, 3), TONES["light"], np.uint8)
    known = {}
    for number, size in enumerate((1.0, 0.5)):
        name = f"coco_{number}.png"
        cv2.imwrite(str(tmp_path / "people" / "images" / name), shown)
        known[name] = Faces(BOX * size, POINTS * size, np.ones(1, np.float32))
    save_faces(tmp_path / "people.npz", known)
    groups = by_group(tmp_path, tmp_path, _SeesOne(None, 1))
    assert (groups["cheeks light"].faces, groups["cheeks light"].found) == (2, 0.5)
    large = groups["cheeks light, 32 px and more"]
    assert (large.faces, large.found) == (1, 1.0)


@pytest.mark.parametrize("score", [0.3, 0.9])
def test_faces_of_which_the_teachers_are_not_certain_do_not_count(
    tmp_path: Path, score: float
) -> None:
    (tmp_path / "people" / "images").mkdir(parents=True)
    shown = np.full((120, 120, 3), 200, np.uint8)
    cv2.imwrite(str(tmp_path / "people" / "images" / "coco_0.png"), shown)
    unsure = Faces(BOX, POINTS, np.full(1, score, np.float32))
    save_faces(tmp_path / "people.npz", {"coco_0.png": unsure})
    assert by_group(tmp_path, tmp_path, _SeesOne(None, 1)) == {}
