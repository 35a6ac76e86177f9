"""Tiny data folders for evaluations, in the layouts of FER+ and of Pascal VOC."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from roommood.inference_worker.vision.opencv import Picture, cv2

Box = tuple[int, int, int, int]

# Ten votes: neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, NF.
NEUTRAL = (9, 0, 0, 0, 1, 0, 0, 0, 0, 0)
HAPPY = (0, 10, 0, 0, 0, 0, 0, 0, 0, 0)


def ferplus_folder(
    data: Path, faces: Sequence[tuple[int, Sequence[int]]], split: str = "FER2013Valid"
) -> Path:
    """Faces of one gray value each, with their votes."""
    folder = data / split
    folder.mkdir(parents=True)
    rows = []
    for number, (value, votes) in enumerate(faces):
        name = f"fer{number:07d}.png"
        cv2.imwrite(str(folder / name), np.full((48, 48), value, np.uint8))
        rows.append(f'{name},"(0, 0, 48, 48)",{",".join(map(str, votes))}\n')
    (folder / "label.csv").write_text("".join(rows))
    return folder


def voc_folder(data: Path) -> Path:
    (data / "images").mkdir(parents=True)
    (data / "annotations").mkdir()
    return data


def add_photograph(
    data: Path, name: str, picture: Picture, boxes: Sequence[tuple[str, Box]] | None = ()
) -> None:
    """A picture and its boxes left, top, right, bottom; None: without annotation file."""
    cv2.imwrite(str(data / "images" / f"{name}.png"), picture)
    if boxes is not None:
        objects = "".join(map(_object, boxes))
        xml = f"<annotation><filename>{name}.png</filename>{objects}</annotation>"
        (data / "annotations" / f"{name}.xml").write_text(xml)


def _object(labelled: tuple[str, Box]) -> str:
    label, box = labelled
    names = ("xmin", "ymin", "xmax", "ymax")
    corners = "".join(f"<{n}>{v}</{n}>" for n, v in zip(names, box, strict=True))
    return f"<object><name>{label}</name><bndbox>{corners}</bndbox></object>"
