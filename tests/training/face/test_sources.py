"""Which photographs are learnt from, and which are kept for judging."""

from pathlib import Path

import cv2
import numpy as np

from roommood.inference_worker.evaluation.voc import read_photographs
from roommood.training.face.data import Faces, save_faces
from roommood.training.face.sources import held_out_pictures, source, training_pictures
from roommood.training.face.voc import write_held_out


def pictures_of(root: Path, name: str, *files: str) -> None:
    folder = root / name / "images"
    folder.mkdir(parents=True)
    for file in files:
        cv2.imwrite(str(folder / file), np.full((64, 64, 3), 90, np.uint8))


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_whole_sources_are_kept_out(tmp_path: Path) -> None:
    pictures_of(tmp_path, "people", "ccp_1.png", "coco_1.png", "voc_1.png")
    assert names(training_pictures(tmp_path, source("people"))) == ["ccp_1.png", "voc_1.png"]
    assert names(held_out_pictures(tmp_path, source("people"))) == ["coco_1.png"]


def test_pictures_named_to_be_left_out_are_not_learnt_from(tmp_path: Path) -> None:
    pictures_of(tmp_path, "people", "ccp_1.png", "ccp_2.png")
    (tmp_path / "leave-out.txt").write_text("people.zip\timages/ccp_1.png\n")
    assert names(training_pictures(tmp_path, source("people"))) == ["ccp_2.png"]


def test_leaving_a_picture_out_moves_no_other_into_training(tmp_path: Path) -> None:
    pictures_of(tmp_path, "no-faces", *(f"{number}.png" for number in range(20)))
    before = held_out_pictures(tmp_path, source("no-faces"))
    (tmp_path / "leave-out.txt").write_text("no-faces.zip\timages/3.png\n")
    assert held_out_pictures(tmp_path, source("no-faces")) == before
    assert not {*before} & {*training_pictures(tmp_path, source("no-faces"))}


def test_what_is_kept_out_becomes_a_folder_to_evaluate_on(tmp_path: Path) -> None:
    pictures_of(tmp_path, "people", "ccp_1.png", "coco_1.png")
    boxes = np.array([[10, 10, 30, 30], [40, 40, 60, 60]], np.float32)
    points = np.zeros((2, 5, 2), np.float32)
    faces = Faces(boxes, points, np.array([1.0, 0.3], np.float32))
    save_faces(tmp_path / "people.npz", {"coco_1.png": faces})
    assert write_held_out(tmp_path, tmp_path, "people", tmp_path / "out") == 1
    (photograph,) = read_photographs(tmp_path / "out")
    assert photograph.faces.boxes.tolist() == boxes.tolist()
    assert photograph.faces.difficult.tolist() == [False, True]
    assert photograph.read().shape == (64, 64, 3)
