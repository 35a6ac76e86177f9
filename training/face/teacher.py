"""The teacher: YuNet (Wu, Peng, Yu 2023) through onnxruntime, looked at from several sides to
label a picture.

The decoder here also serves our own detector, whose outputs are laid out in the same way.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from roommood.inference_worker.evaluation.average_precision import iou_matrix
from roommood.training.face.data import Faces, Floats, Picture, clip
from roommood.training.opened import open_session

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read once, at the import of onnxruntime

STRIDES = (8, 16, 32)
MULTIPLE = 32
MERGE_IOU = 0.45
YUNET_THRESHOLD = 0.6
MOST_FACES = 500


def decode(outputs: Mapping[str, Floats], height: int, width: int, threshold: float) -> Faces:
    """Turn one picture's raw outputs into faces: cls_s, obj_s, bbox_s, kps_s, one row per cell.

    cx = (column + b0) * s, cy = (row + b1) * s, w = exp(b2) * s, h = exp(b3) * s; the score is
    sqrt(cls * obj), or cls where the net has no obj. Overlaps are still in it: see suppress.
    """
    views = [
        _decode_level(outputs, stride, height // stride, width // stride, threshold)
        for stride in STRIDES
    ]
    return views[0].joined(views[1]).joined(views[2])


def _decode_level(
    outputs: Mapping[str, Floats], stride: int, rows: int, columns: int, threshold: float
) -> Faces:
    score = cell_scores(outputs, stride)
    keep = np.flatnonzero(score >= threshold)
    cell = np.stack([keep % columns, keep // columns], 1).astype(np.float32)
    box = outputs[f"bbox_{stride}"].reshape(rows * columns, 4)[keep]
    centre, half = (cell + box[:, :2]) * stride, np.exp(np.minimum(box[:, 2:], 6)) * stride / 2
    points = outputs[f"kps_{stride}"].reshape(rows * columns, 5, 2)[keep]
    landmarks = (cell[:, None] + points) * stride
    return Faces(np.concatenate([centre - half, centre + half], 1), landmarks, score[keep])


def cell_scores(outputs: Mapping[str, Floats], stride: int) -> Floats:
    """The score of each cell of a grid (A,), whether or not the net has an obj."""
    score = outputs[f"cls_{stride}"].reshape(-1)
    if f"obj_{stride}" not in outputs:
        return score
    there = outputs[f"obj_{stride}"].reshape(-1)
    joined: Floats = np.sqrt(np.clip(score, 0, 1) * np.clip(there, 0, 1))
    return joined


def suppress(faces: Faces, iou: float) -> Faces:
    """Greedy non-maximum suppression: of faces that overlap by more than iou the surest stays;
    surest first.

    Only the MOST_FACES surest are looked at, since the cost grows with their square.
    """
    faces = faces.where(np.argsort(-faces.scores, kind="stable")[:MOST_FACES])
    overlap = iou_matrix(faces.boxes, faces.boxes)
    alive = np.ones(len(faces), bool)
    for i in range(len(faces)):
        if alive[i]:
            alive[i + 1 :] &= overlap[i, i + 1 :] <= iou
    return faces.where(alive)


def pad_to_multiple(picture: Picture) -> Picture:
    """Add black at the right and the bottom until both sides are multiples of 32."""
    height, width = picture.shape[:2]
    edges = [(0, -height % MULTIPLE), (0, -width % MULTIPLE)] + [(0, 0)] * (picture.ndim - 2)
    return np.pad(picture, edges)


def decoded(outputs: Mapping[str, Floats]) -> Faces:
    """The faces of a net that decodes by itself; overlaps are still in it: see suppress.

    Without the row of zeros that stands for no cell.
    """
    middle, half = outputs["boxes"][:, :2], outputs["boxes"][:, 2:] / 2
    boxes = np.concatenate([middle - half, middle + half], 1)
    faces = Faces(boxes, outputs["landmarks"].reshape(-1, 5, 2), outputs["scores"][:, 0])
    return faces.where(half[:, 0] != 0)


@dataclass(frozen=True)
class Detector:
    """An ONNX detector on one thread, for pictures of 0..255: 1 channel is grey, 3 are BGR.

    It reports faces from `threshold` on, which stands in the file's metadata if it is ours. With
    `decodes` it is of those that take bytes and give boxes (see `decoding`).
    """

    session: Any
    channels: int
    threshold: float = YUNET_THRESHOLD
    decodes: bool = False

    @classmethod
    def open(cls, path: Path) -> Detector:
        """Open YuNet or one of our own detectors."""
        session = open_session(path)
        own = session.get_modelmeta().custom_metadata_map
        threshold = float(own.get("roommood.score_threshold", YUNET_THRESHOLD))
        picture = session.get_inputs()[0]
        return cls(session, picture.shape[1], threshold, picture.type == "tensor(uint8)")

    def tensor(self, picture: Picture) -> Floats | Picture:
        """A BGR picture as the net's input (1, C, H, W), sides padded to multiples of 32."""
        import cv2

        if self.channels == 1 and picture.ndim == 3:
            picture = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)
        padded = pad_to_multiple(picture)
        planes = padded[None, None] if self.channels == 1 else padded.transpose(2, 0, 1)[None]
        return np.ascontiguousarray(planes, np.uint8 if self.decodes else np.float32)

    def outputs(self, tensor: Floats | Picture, threshold: float = 0.0) -> dict[str, Floats]:
        """The raw outputs by name; of a net that decodes, those of cells from the threshold on."""
        names = [output.name for output in self.session.get_outputs()]
        inputs = {self.session.get_inputs()[0].name: tensor}
        if self.decodes:
            inputs |= {"score_threshold": np.array([threshold], np.float32)}
            inputs |= {"nms_iou": np.array([MERGE_IOU], np.float32)}
        values = self.session.run(None, inputs)
        return dict(zip(names, values, strict=True))

    def detect(self, picture: Picture, threshold: float = 0.6, iou: float = 0.4) -> Faces:
        """Faces of a BGR picture (H, W, 3), in its pixels, surest first.

        Boxes end at the picture's edges.
        """
        tensor = self.tensor(picture)
        outputs = self.outputs(tensor, threshold)
        if self.decodes:
            return clip(suppress(decoded(outputs), iou), picture)
        faces = decode(outputs, tensor.shape[2], tensor.shape[3], threshold)
        return clip(suppress(faces, iou), picture)


class Teacher(Protocol):
    """Whatever finds faces in a BGR picture (H, W, 3) from a score on."""

    def detect(self, picture: Picture, threshold: float) -> Faces: ...


@dataclass(frozen=True)
class View:
    """One way to show a picture to the teacher: scaled, mirrored, with a border (a fraction of
    its sides)."""

    scale: float = 1.0
    mirrored: bool = False
    border: float = 0.0


def label(
    teacher: Teacher, picture: Picture, views: Sequence[View], threshold: float = 0.3
) -> Faces:
    """Label a picture with the merged detections of several views; a face's score is its mean
    over the views.

    A face that only one of the views shows thus gets a low score, and is later ignored rather
    than learnt.
    """
    seen = [look(teacher, picture, view, threshold) for view in views]
    everything = seen[0]
    for faces in seen[1:]:
        everything = everything.joined(faces)
    return merge(everything, len(views))


def look(teacher: Teacher, picture: Picture, view: View, threshold: float) -> Faces:
    """What the teacher sees in one view of a picture, in the picture's own pixels."""
    import cv2

    height, width = picture.shape[:2]
    top, left = round(height * view.border), round(width * view.border)
    shown = cv2.copyMakeBorder(
        picture, top, top, left, left, cv2.BORDER_CONSTANT, value=(127, 127, 127)
    )
    shown = cv2.resize(shown, None, fx=view.scale, fy=view.scale, interpolation=cv2.INTER_LINEAR)
    if view.mirrored:
        shown = shown[:, ::-1]
    faces = teacher.detect(np.ascontiguousarray(shown, np.uint8), threshold)
    if view.mirrored:
        faces = mirror(faces, shown.shape[1])
    offset = np.array([left, top], np.float32)
    boxes = faces.boxes / view.scale - np.tile(offset, 2)
    return Faces(boxes, faces.landmarks / view.scale - offset, faces.scores)


def mirror(faces: Faces, width: float) -> Faces:
    """The faces of the picture mirrored left to right; the person's right eye becomes the left
    one."""
    boxes = faces.boxes[:, [2, 1, 0, 3]] * np.array([-1, 1, -1, 1], np.float32) + np.array(
        [width, 0, width, 0]
    )
    landmarks = faces.landmarks[:, [1, 0, 2, 4, 3]] * np.array([-1, 1], np.float32) + np.array(
        [width, 0]
    )
    return Faces(boxes.astype(np.float32), landmarks.astype(np.float32), faces.scores)


def merge(faces: Faces, views: int) -> Faces:
    """Average overlapping detections, weighted by score (Solovyev et al. 2021, weighted boxes
    fusion)."""
    heads = suppress(faces, MERGE_IOU)
    owner = iou_matrix(faces.boxes, heads.boxes)
    merged = [_average(faces.where(owner[:, i] > MERGE_IOU), views) for i in range(len(heads))]
    result = Faces.none()
    for face in merged:
        result = result.joined(face)
    return result


def _average(group: Faces, views: int) -> Faces:
    weight = group.scores / max(float(group.scores.sum()), 1e-6)
    score = min(1.0, float(group.scores.sum()) / views)
    return Faces(
        (group.boxes * weight[:, None]).sum(0, keepdims=True),
        (group.landmarks * weight[:, None, None]).sum(0, keepdims=True),
        np.array([score], np.float32),
    )
