"""Whole photographs are not taken for face crops."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("onnxruntime")
pytest.importorskip("skimage")

import cv2

from roommood.shared.errors import ConfigError
from roommood.training.collect.imports import import_folders
from roommood.training.expression.own_pictures import read_own
from tests.inference_worker.pictures import astronaut

# Where the face lies in the picture of 512 px.
TOP, LEFT, SIDE = 55, 155, 150


def write_people(folder: Path, *, are_cut: bool) -> None:
    for expression, shift in (("happy", 0), ("sad", 40)):
        (folder / expression).mkdir(parents=True)
        for number in range(6):
            picture = np.roll(astronaut(), shift + number, axis=1)
            left = LEFT + shift + number
            if are_cut:
                picture = picture[TOP : TOP + SIDE, left : left + SIDE]
            cv2.imwrite(str(folder / expression / f"{number}.png"), picture)


def test_whole_photographs_are_refused_with_the_command_that_cuts_faces(tmp_path: Path) -> None:
    write_people(tmp_path / "people", are_cut=False)
    with pytest.raises(ConfigError, match=r"whole photographs.*roommood-train collect"):
        import_folders(tmp_path / "people", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="whole photographs"):
        read_own(tmp_path / "people", least=3)


def test_the_faces_cut_out_of_them_are_taken(tmp_path: Path) -> None:
    write_people(tmp_path / "faces", are_cut=True)
    counts = import_folders(tmp_path / "faces", tmp_path / "out")
    assert sum(sum(of.values()) for of in counts.values()) == 12
