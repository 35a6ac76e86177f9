"""`fer` as its documentation uses it, and its net alone. Run by the peers' Python.

    python benchmarks/peer_fer.py FOLDER ROUNDS

FOLDER holds JPEGs. Tells, as JSON, processor milliseconds per frame, decoding included, of FER's
detect_emotions (Haar and its net), of its net on three faces, and the faces that it found.
"""

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import cv2
import numpy as np

FACES = 3


def main() -> None:
    folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
    fer = importlib.import_module("fer.fer").FER()
    files = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]
    analyse(fer, files[0])
    began, found = time.process_time(), 0
    for _ in range(rounds):
        found = sum(len(analyse(fer, jpeg)) for jpeg in files)
    whole_ms = (time.process_time() - began) * 1000 / rounds / len(files)
    facts = {"cpu_ms": whole_ms, "net_ms": net_ms(fer, rounds), "faces": found / len(files)}
    print(json.dumps(facts), flush=True)


def analyse(fer: Any, jpeg: bytes) -> Any:
    return fer.detect_emotions(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR))


def net_ms(fer: Any, rounds: int) -> float:
    """Its classifier on a batch of three faces, cut out and scaled."""
    classify = getattr(fer, "_classify_emotions")  # noqa: B009
    faces = np.random.default_rng(1).random((FACES, 64, 64), np.float32)
    classify(faces)
    began = time.process_time()
    for _ in range(rounds * 5):
        classify(faces)
    return (time.process_time() - began) * 1000 / (rounds * 5)


if __name__ == "__main__":
    main()
