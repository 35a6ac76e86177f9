"""The photographs kept out of training as folders for `roommood models evaluate`."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement

from roommood.training.face.data import Faces, load_faces
from roommood.training.face.review import CERTAIN
from roommood.training.face.sources import held_out_pictures, source

SIDES = ("xmin", "ymin", "xmax", "ymax")


def write_held_out(root: Path, labels: Path, name: str, out: Path) -> int:
    """Write the kept out pictures of a source, as links, with what the teachers see in them as
    Pascal VOC; what they are not certain of is `difficult`. Gives the number of pictures."""
    known = load_faces(labels / f"{name}.npz")
    paths = held_out_pictures(root, source(name))
    for folder in ("images", "annotations"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for path in paths:
        link = out / "images" / path.name
        link.unlink(missing_ok=True)
        link.symlink_to(path.resolve())
        _annotation(known[path.name]).write(out / "annotations" / f"{path.stem}.xml")
    return len(paths)


def _annotation(faces: Faces) -> ElementTree[Element]:
    root = Element("annotation")
    for box, score in zip(faces.boxes.tolist(), faces.scores.tolist(), strict=True):
        item = SubElement(root, "object")
        SubElement(item, "name").text = "face"
        SubElement(item, "difficult").text = "0" if score >= CERTAIN else "1"
        drawn = SubElement(item, "bndbox")
        for side, value in zip(SIDES, box, strict=True):
            SubElement(drawn, side).text = f"{value:.1f}"
    return ElementTree(root)
