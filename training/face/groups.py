"""How often a detector finds faces of different groups, on photographs that it never learnt from.

Nobody labelled these groups. Cheeks are told apart by their individual typology angle (Chardot et
al. 1991), which is of the skin under even light alone: dark ones are dark skin, and any face in
shade. A head counts as turned by its landmarks. The truth is what two teachers see, so a face that
both miss is missing here too. Small faces are found less often, so each group is told by size, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from roommood.inference_worker.evaluation.average_precision import MATCH_IOU, iou_matrix, sides
from roommood.training.face.data import Faces, Floats, Picture, load_faces
from roommood.training.face.render import turned
from roommood.training.face.review import CERTAIN
from roommood.training.face.sources import held_out_pictures, read_picture, source
from roommood.training.face.teacher import Detector

SMALLEST_PX, LARGE_PX = 16.0, 32.0
CHEEK_REACH = 0.08
# Degrees: skin above 28 is light, above 10 intermediate (Del Bino & Bernerd 2013).
LIGHT, INTERMEDIATE = 28.0, 10.0
DIM = 70.0


@dataclass(frozen=True)
class Group:
    """Faces of one group: how many, and the share (0..1) that is found."""

    faces: int
    found: float


def by_group(root: Path, labels: Path, detector: Detector) -> Mapping[str, Group]:
    """The groups of the people kept out of training, at the detector's own threshold."""
    hits: dict[str, list[bool]] = {}
    known = load_faces(labels / "people.npz")
    for path in held_out_pictures(root, source("people")):
        faces, picture = known[path.name], read_picture(path)
        clear = (faces.scores >= CERTAIN) & (sides(faces.boxes) >= SMALLEST_PX)
        truth = faces.where(clear)
        is_hit = _hits(detector.detect(picture, detector.threshold), truth.boxes)
        for groups, hit in zip(_groups(picture, truth), is_hit.tolist(), strict=True):
            for group in groups:
                hits.setdefault(group, []).append(hit)
    return {name: Group(len(group), float(np.mean(group))) for name, group in sorted(hits.items())}


def _hits(detected: Faces, boxes: Floats) -> NDArray[np.bool_]:
    if len(detected) == 0:
        return np.zeros(len(boxes), np.bool_)
    is_hit: NDArray[np.bool_] = iou_matrix(boxes, detected.boxes).max(1) >= MATCH_IOU
    return is_hit


def _groups(picture: Picture, faces: Faces) -> Iterator[Sequence[str]]:
    aside = turned(faces)
    for i in range(len(faces)):
        side = float(sides(faces.boxes[[i]])[0])
        light, tone = _cheek(picture, faces.landmarks[i], side)
        groups: tuple[str, ...] = (
            "head turned aside" if aside[i] else "head towards the camera",
            "face in dim light" if light < DIM else "face in good light",
            f"cheeks {tone}",
        )
        if side >= LARGE_PX:
            groups += tuple(f"{group}, {LARGE_PX:.0f} px and more" for group in groups)
        yield groups


def _cheek(picture: Picture, points: Floats, side: float) -> tuple[float, str]:
    """The brightness (0..255) of both cheeks, and the group of their typology angle."""
    reach = max(1, round(side * CHEEK_REACH))
    patches = [_patch(picture, (points[eye] + points[eye + 3]) / 2, reach) for eye in (0, 1)]
    colour = np.concatenate(patches).mean(0).reshape(1, 1, 3).astype(np.float32)
    light, _, yellow = cv2.cvtColor(colour / 255, cv2.COLOR_BGR2LAB)[0, 0].tolist()
    angle = float(np.degrees(np.arctan2(light - 50, max(yellow, 1e-3))))
    if angle > LIGHT:
        return float(colour.mean()), "light"
    return float(colour.mean()), "intermediate" if angle > INTERMEDIATE else "dark"


def _patch(picture: Picture, middle: Floats, reach: int) -> Picture:
    height, width = picture.shape[:2]
    x = int(np.clip(round(float(middle[0])), reach, width - reach - 1))
    y = int(np.clip(round(float(middle[1])), reach, height - reach - 1))
    patch: Picture = picture[y - reach : y + reach + 1, x - reach : x + reach + 1].reshape(-1, 3)
    return patch
