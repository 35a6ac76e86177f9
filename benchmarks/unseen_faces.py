"""What the shipped models and fer make of labelled photographs that neither has learnt from.

    python -m benchmarks.unseen_faces DIR [DIR ...]

DIR holds `images/` and a `labels.csv`, as `roommood models evaluate` reads them. Both get the same
files as their documentation uses them: `roommood.analyse_picture`, and `FER().detect_emotions`
with its own Haar cascade. fer is tried once more on the boxes of the shipped detector, so that its
classifier is judged alone. Of each picture the largest face counts. fer knows no contempt, so
pictures of it are left out.

Each expression weighs the same. A recall of a few pictures says nothing, so those of which a source
has fewer than LEAST are left out of the means.
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import peers
from benchmarks.processes import ROOT
from roommood import analyse_picture
from roommood.inference_worker.evaluation.photographs import LABELS, framed, read_labels
from roommood.shared.protocol.emotions import EXPRESSIONS

LEAST: Final = 20
SEVEN: Final = EXPRESSIONS[:7]
_PEER: Final = ROOT / "benchmarks" / "peer_fer_answers.py"
_LIMIT_S: Final = 3_600

# Of each picture the shares of SEVEN, or None where no face was found.
Answers = Sequence[Sequence[float] | None]
Labels = NDArray[np.int64]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", nargs="+", type=Path, metavar="DIR")
    folders = parser.parse_args().data
    peers.install()
    for folder in folders:
        rows = [row for row in read_labels(folder / LABELS).rows if row[1] < len(SEVEN)]
        truth = np.array([label for _, label in rows], np.int64)
        if not usable(truth):
            parser.error(f"{folder}: no expression has {LEAST} pictures, too few to tell")
        print(f"{folder.name}: {np.isin(truth, usable(truth)).sum()} pictures, {numbers(truth)}")
        for name, answers in answered([folder / "images" / file for file, _ in rows]).items():
            print(f"  {name:<32} {judged(truth, answers)}", flush=True)


def answered(files: Sequence[Path]) -> dict[str, Answers]:
    """By who answers, in the order of the files."""
    with tempfile.TemporaryDirectory() as folder:
        ours: list[Sequence[float] | None] = []
        boxes: list[Sequence[int] | None] = []
        for number, file in enumerate(files):
            picture = framed(file)
            cv2.imwrite(str(Path(folder) / f"{number:06d}.png"), picture)
            face = next(iter(analyse_picture(picture)), None)
            ours.append([face.expressions[name] for name in SEVEN] if face else None)
            boxes.append([round(each) for each in face.box] if face else None)
        (Path(folder) / "boxes.json").write_text(json.dumps(boxes))
        theirs = _of_fer(folder)
    return {"roommood": ours, "fer": theirs["own"], "fer, roommood's boxes": theirs["given"]}


def judged(truth: Labels, answers: Answers) -> str:
    """How many faces were found, and of these the recall of each expression and their mean."""
    found = np.array([answer is not None for answer in answers])
    counts = np.isin(truth, usable(truth))
    said = np.array([-1 if answer is None else int(np.argmax(answer)) for answer in answers])
    recalls = {
        SEVEN[label]: 100 * float(np.mean(said[found & (truth == label)] == label))
        for label in usable(truth)
    }
    each = ", ".join(f"{name} {recall:.0f}" for name, recall in recalls.items())
    mean = np.mean(list(recalls.values()))
    return f"found {100 * found[counts].mean():.1f} %, mean recall {mean:.1f} % ({each})"


def usable(truth: Labels) -> list[int]:
    """The expressions of which there are enough pictures."""
    return [label for label in range(len(SEVEN)) if np.sum(truth == label) >= LEAST]


def numbers(truth: Labels) -> str:
    counts: Iterable[str] = (f"{SEVEN[label]} {np.sum(truth == label)}" for label in usable(truth))
    return ", ".join(counts)


def _of_fer(folder: str) -> dict[str, Answers]:
    done = subprocess.run(
        [peers.PYTHON, _PEER, folder, *SEVEN],
        stdout=subprocess.PIPE, check=True, timeout=_LIMIT_S,
    )  # fmt: skip
    answers: dict[str, Answers] = json.loads(done.stdout.splitlines()[-1])
    return answers


if __name__ == "__main__":
    main()
