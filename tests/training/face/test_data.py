"""Boxes, annotations and the split that keeps pictures out of training."""

from pathlib import Path

import numpy as np

from roommood.training.face.data import Faces, load_faces, save_faces, split


def faces(*boxes: tuple[float, float, float, float]) -> Faces:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    return Faces(array, np.zeros((len(array), 5, 2), np.float32), np.ones(len(array), np.float32))


def test_the_split_depends_on_names_alone_and_divides_everything() -> None:
    paths = [Path(f"/one/{i}.jpg") for i in range(50)]
    moved = [Path(f"/two/{i}.jpg") for i in reversed(range(50))]
    first, second = split(paths), split(moved)
    assert [p.name for p in first.held_out] == [p.name for p in second.held_out]
    assert len(first.held_out) == 10
    assert not set(first.train) & set(first.held_out)
    assert set(first.train) | set(first.held_out) == set(paths)


def test_labels_survive_their_file(tmp_path: Path) -> None:
    labels = {"b.jpg": faces((0, 0, 1, 1), (2, 2, 4, 4)), "a.jpg": Faces.none()}
    save_faces(tmp_path / "labels.npz", labels)
    read = load_faces(tmp_path / "labels.npz")
    assert len(read["a.jpg"]) == 0
    np.testing.assert_array_equal(read["b.jpg"].boxes, labels["b.jpg"].boxes)
