"""The file of a detector of ours: its contract in the metadata, its self-test, its decoding."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from roommood.training.face.data import Floats, Picture
from roommood.training.face.decoding import FACES, with_decoding
from roommood.training.face.teacher import MULTIPLE, Detector

SELF_TEST_HEIGHT, SELF_TEST_WIDTH = 96, 128
SELF_TEST_SEEDS = 50
LEAST_BALANCE = 0.02
# Boxes are decoded in the graph.
_OUTPUT = {"roommood.output": "faces"}


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


def add_decoding(given: Path, path: Path) -> None:
    """Write to path what `write` would have written, of a file with YuNet's outputs that an earlier
    one wrote. ModelError where it is another."""
    model = onnx.load(str(given))
    entries = {entry.key: entry.value for entry in model.metadata_props}
    del model.metadata_props[:]
    save(with_decoding(model), path, entries | _OUTPUT)


def save(model: onnx.ModelProto, path: Path, entries: Mapping[str, str]) -> None:
    """Write the model with these entries, and the sums of its own outputs for a self-test."""
    onnx.save(model, str(path))
    tested = {**entries, "roommood.selftest": json.dumps(self_test(path))}
    helper.set_model_props(model, tested)
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
        **_OUTPUT,
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
        outputs.pop(FACES)  # which these are is decided by a hair's breadth
        if all(_balance(values) > LEAST_BALANCE for values in outputs.values()):
            break
    sums = {name: float(values.sum(dtype=np.float64)) for name, values in outputs.items()}
    return {"seed": seed, "height": SELF_TEST_HEIGHT, "width": SELF_TEST_WIDTH, "sums": sums}


def _balance(values: Floats) -> float:
    return float(
        abs(values.sum(dtype=np.float64)) / max(float(np.abs(values).sum(dtype=np.float64)), 1e-9)
    )
