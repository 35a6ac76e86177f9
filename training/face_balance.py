"""Making the scores of the three strides mean the same: a shift of each head's score, fitted on
training photographs, so that a sure small face is not outranked by an unsure large one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import torch

from training.face_data import Faces, Floats, read_voc
from training.face_evaluate import Judged, average_precision, fit
from training.face_graph import build
from training.face_light import grey
from training.face_net import STRIDES, FaceNet
from training.face_sources import PEOPLE_AMONG_NO_FACES, read_picture, source, training_pictures
from training.face_teacher import Detector, decode_level, suppress

FINE_SHIFTS, COARSE_SHIFTS = (-0.6, -0.3, 0.0, 0.3), (-0.9, -0.6, -0.3, 0.0)
LOWEST_SCORE = 0.15
SMALLEST_PX = 20.0
NMS_IOU = 0.4

Shifts = tuple[float, float, float]


def training_photographs(root: Path) -> list[Judged]:
    """The photographs with hand-drawn boxes and those without people, fitted into 640x480."""
    with_people, without = source("faces-boxes"), source("no-faces")
    judged = []
    for path in training_pictures(root, with_people):
        hand = read_voc(root / with_people.annotations / f"{path.stem}.xml")
        frame, scale = fit(grey(read_picture(path)))
        judged.append(Judged(frame, hand.boxes * scale, np.zeros(len(hand.boxes), bool)))
    for path in training_pictures(root, without):
        if path.name not in PEOPLE_AMONG_NO_FACES:
            frame, _ = fit(grey(read_picture(path)))
            judged.append(Judged(frame, np.zeros((0, 4), np.float32), np.zeros(0, bool)))
    return judged


def fitted_shifts(net: FaceNet, draft: Path, root: Path) -> Shifts:
    """The best shifts for a net; leaves a draft of its file."""
    onnx.save(build(net), str(draft))
    return best_shifts(Detector.open(draft), training_photographs(root))


def best_shifts(detector: Detector, judged: Sequence[Judged]) -> Shifts:
    """The shifts of the score's logit at strides 8, 16 and 32 that rank faces of 20 px and more
    best. That of stride 16 is 0: only differences matter for a ranking."""
    seen = [_by_stride(detector, truth) for truth in judged]
    tried = [(fine, 0.0, coarse) for fine, coarse in product(FINE_SHIFTS, COARSE_SHIFTS)]
    return max(tried, key=lambda shifts: _precision(seen, judged, shifts))


def _by_stride(detector: Detector, truth: Judged) -> list[Faces]:
    tensor = detector.tensor(truth.picture)
    outputs, (height, width) = detector.outputs(tensor), tensor.shape[2:]
    return [
        suppress(decode_level(outputs, s, height // s, width // s, LOWEST_SCORE), NMS_IOU)
        for s in STRIDES
    ]


def _precision(seen: Sequence[list[Faces]], judged: Sequence[Judged], shifts: Shifts) -> float:
    found = []
    for levels in seen:
        first, second, third = (
            Faces(faces.boxes, faces.landmarks, moved(faces.scores, shift))
            for faces, shift in zip(levels, shifts, strict=True)
        )
        found.append(suppress(first.joined(second).joined(third), NMS_IOU))
    return average_precision(found, judged, SMALLEST_PX)


def moved(scores: Floats, shift: float) -> Floats:
    """Scores (n,) with their logit shifted."""
    odds = scores / np.clip(1 - scores, 1e-6, None) * np.exp(shift)
    shifted: Floats = (odds / (1 + odds)).astype(np.float32)
    return shifted


@torch.no_grad()
def shift_scores(net: FaceNet, shifts: Shifts) -> FaceNet:
    """Shift the score of each stride's head, in place; the net."""
    for head, shift in zip(net.heads, shifts, strict=True):
        head.outputs.bias[0] += shift  # type: ignore[union-attr, index]
    return net
