"""What `fer` answers to pictures, as its documentation uses it. Run by the peers' Python.

    python benchmarks/peer_fer_answers.py FOLDER EXPRESSION ...

FOLDER holds PNG files and a `boxes.json` with a box (left, top, width, height) or null for each, in
the order of their names. Tells, as JSON, the shares of the expressions of the largest face: of the
faces that it found itself ("own"), and of the given boxes ("given"); null for no face.
"""

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import cv2

# fer's words by ours.
WORDS = {
    "neutral": "neutral", "happiness": "happy", "surprise": "surprise", "sadness": "sad",
    "anger": "angry", "disgust": "disgust", "fear": "fear",
}  # fmt: skip


def main() -> None:
    folder, names = Path(sys.argv[1]), sys.argv[2:]
    fer = importlib.import_module("fer.fer").FER()
    boxes = json.loads((folder / "boxes.json").read_text())
    pictures = [cv2.imread(str(file)) for file in sorted(folder.glob("*.png"))]
    own = [shares(fer.detect_emotions(picture), names) for picture in pictures]
    given = [
        shares(fer.detect_emotions(picture, [box]), names) if box else None
        for picture, box in zip(pictures, boxes, strict=True)
    ]
    print(json.dumps({"own": own, "given": given}), flush=True)


def shares(faces: Any, names: list[str]) -> list[float] | None:
    if not faces:
        return None
    largest = max(faces, key=lambda face: face["box"][2] * face["box"][3])
    return [float(largest["emotions"][WORDS[name]]) for name in names]


if __name__ == "__main__":
    main()
