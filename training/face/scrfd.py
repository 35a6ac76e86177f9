"""SCRFD (Guo et al. 2021, arXiv 2105.04714) as a second teacher: a 640x640 file with nine outputs.

Each output has one row per anchor, two anchors per cell, at strides 8, 16 and 32: the score, the
distances from the cell's corner to the box's four sides, and the offsets of five landmarks, in
strides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from roommood.training.face.data import Faces, Floats, Picture, clip
from roommood.training.face.teacher import STRIDES, Detector, suppress

SIDE_PX = 640
ANCHORS = 2
MEAN, STD = 127.5, 128.0


@dataclass(frozen=True)
class Scrfd:
    """SCRFD on one thread; `detect` is that of `Detector`."""

    session: Any

    @classmethod
    def open(cls, path: Path) -> Scrfd:
        """Open a file with a fixed input of 640x640, RGB."""
        return cls(Detector.open(path).session)

    def detect(self, picture: Picture, threshold: float = 0.5, iou: float = 0.4) -> Faces:
        """Faces of a BGR picture (H, W, 3), in its pixels, surest first; fitted into 640x640."""
        scale = SIDE_PX / max(picture.shape[:2])
        names = [output.name for output in self.session.get_outputs()]
        values = self.session.run(None, {self.session.get_inputs()[0].name: _tensor(picture)})
        faces = _decode(dict(zip(names, values, strict=True)), threshold)
        kept = suppress(faces, iou)
        placed = Faces(kept.boxes / scale, kept.landmarks / scale, kept.scores)
        return clip(placed, picture)


def _tensor(picture: Picture) -> Floats:
    height, width = picture.shape[:2]
    scale = SIDE_PX / max(height, width)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    size = (round(width * scale), round(height * scale))
    framed = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
    framed[: size[1], : size[0]] = cv2.resize(picture, size, interpolation=how)
    planes = framed[:, :, ::-1].transpose(2, 0, 1)[None].astype(np.float32)
    return np.ascontiguousarray((planes - MEAN) / STD, np.float32)


def _decode(outputs: Mapping[str, Floats], threshold: float) -> Faces:
    levels = [_level(outputs, stride, threshold) for stride in STRIDES]
    return levels[0].joined(levels[1]).joined(levels[2])


def _level(outputs: Mapping[str, Floats], stride: int, threshold: float) -> Faces:
    score = outputs[f"score_{stride}"].reshape(-1)
    keep = np.flatnonzero(score >= threshold)
    cell, columns = keep // ANCHORS, SIDE_PX // stride
    corner = np.stack([cell % columns, cell // columns], 1).astype(np.float32) * stride
    sides = outputs[f"bbox_{stride}"].reshape(-1, 4)[keep] * stride
    boxes = np.concatenate([corner - sides[:, :2], corner + sides[:, 2:]], 1)
    points = outputs[f"kps_{stride}"].reshape(-1, 5, 2)[keep] * stride
    return Faces(boxes, corner[:, None] + points, score[keep])
