"""How far a room's shares are from the truth, as the model saw them and corrected.

    python -m benchmarks.honest_room --data DIR [--first-labels FILE] [--model FILE] [--json FILE]
    python -m benchmarks.honest_room --photographs DIR [--model FILE] [--json FILE]

DIR holds `FER2013Valid` in the layout of FER+. Rooms of a known mix are drawn from its faces
with a clear majority, and read as the product reads them: the faces that count as sure, their
winning labels, and one matrix per size of face, made as `roommood-train export` makes them. The
error is the total variation: half the sum of the absolute deviations from the known mix, of all
faces, sure or not.

A matrix must not have seen the faces that it corrects. So the faces are cut in two halves, by
chance and several times, and each half gives the matrices for rooms drawn from the other. The
matrices in the file may rest on the same faces; what they give stands beside.

With `--photographs`, DIR holds `images/` and a `labels.csv`, as `roommood models evaluate` reads
them: a source that the model never learnt from, found and cut by the product. A room that one
installs is one, so its shares are corrected by the file's matrices alone. Expressions that no
photograph shows are left out of the mixes.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from roommood.aggregator.stats.correction import Evidence, Matrix, corrected
from roommood.inference_worker.evaluation.ferplus import SPLITS, UNCLEAR, read_split
from roommood.inference_worker.evaluation.photographs import LABELS, answers_on, read_labels
from roommood.inference_worker.models.contract import ExpressionContract, from_metadata
from roommood.inference_worker.models.files import SHIPPED_EXPRESSION
from roommood.inference_worker.vision.sharpness import least_sure
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.training.expression.confusion import labelled as by_both_standards
from roommood.training.expression.confusion import rows_of
from roommood.training.expression.evaluate import Classifier, at_size
from roommood.training.expression.targets import read_first_labels

Shares = NDArray[np.float64]
Answers = NDArray[np.float32]
Labels = NDArray[np.int64]
# By size class.
Seen = Mapping[str, Answers]
Matrices = Mapping[str, Matrix]

GOAL: Final = 0.08
COUNT: Final = len(EXPRESSIONS)
SIZES_PX: Final = {"large": 48, "small": 24, "tiny": 16}
# neutral, happiness, surprise, sadness, anger, disgust, fear, contempt; in percent.
ROOMS: Final = {
    "85 % neutral": (85, 6, 2, 4, 2, 0, 1, 0),
    "60 % neutral, 25 % happy": (60, 25, 5, 5, 3, 0, 2, 0),
    "60 % happy": (30, 60, 5, 2, 2, 0, 1, 0),
    "40 % sad": (40, 5, 3, 40, 8, 1, 3, 0),
    "30 % angry": (45, 5, 5, 10, 30, 2, 2, 1),
    "35 % surprised": (30, 20, 35, 3, 2, 0, 10, 0),
    "uniform over eight": (12.5,) * 8,
    "uniform over seven": (100 / 7,) * 7 + (0,),
    "uniform without the rarest two": (100 / 6,) * 5 + (0, 100 / 6, 0),
}


@dataclass(frozen=True, slots=True)
class Faces:
    """Labelled faces, what the model answers at each size, and which of the answers are sure.

    `truth` is what most voted for, `searched` the word a picture was searched by; UNCLEAR is none.
    """

    truth: Labels
    searched: Labels
    answers: dict[str, Answers]
    sure: dict[str, NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Row:
    """Mean errors of one kind of room, 0..1; `covered` is the part of the corrected shares
    whose 95 % interval holds the truth."""

    room: str
    faces_px: str
    labels_counted: float
    probabilities_averaged: float
    corrected: float
    corrected_by_file: float
    covered: float
    held: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, help="folder that holds FER2013Valid")
    source.add_argument("--photographs", type=Path, help="folder with images/ and labels.csv")
    parser.add_argument("--first-labels", type=Path, help="as roommood-train export takes them")
    parser.add_argument("--model", type=Path, default=SHIPPED_EXPRESSION)
    parser.add_argument("--faces", type=int, default=1000, help="faces (observations) per room")
    parser.add_argument("--splits", type=int, default=5, help="times that the faces are halved")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    classifier = Classifier(options.model)
    contract = from_metadata(ExpressionContract, classifier.metadata, str(options.model))
    own = {str(size): one.hard for size, one in contract.confusion.items()}
    if options.photographs:
        faces = photographed(options.model, options.photographs)
        rows = list(abroad(faces, own, options.faces, options.splits))
    else:
        faces = answered(classifier, options.data, options.first_labels)
        rows = list(simulated(faces, own, options.faces, options.splits))
    show(rows, options.faces)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


def answered(classifier: Classifier, data: Path, first_labels: Path | None) -> Faces:
    """The faces of Valid, scaled down and back up, through the classifier."""
    valid = SPLITS["valid"]
    first = read_first_labels(first_labels) if first_labels else {}
    faces = by_both_standards(read_split(data / valid), valid, first)
    shown = {size: at_size(faces.pictures, px) for size, px in SIZES_PX.items()}
    answers = {size: classifier.probabilities(pictures) for size, pictures in shown.items()}
    sure = {
        size: answers[size].max(1) >= least_sure(pictures, classifier.sure_threshold)
        for size, pictures in shown.items()
    }
    return Faces(faces.voted, faces.searched, answers, sure)


def photographed(model: Path, folder: Path) -> Faces:
    """The largest face of each labelled photograph, through detector, crop and classifier."""
    rows = read_labels(folder / LABELS).rows
    _, answers = answers_on(model, folder, rows, list(SIZES_PX.values()))
    truth = answers[SIZES_PX["large"]].truth
    return Faces(
        truth,
        np.full_like(truth, UNCLEAR),
        {size: answers[px].answers.astype(np.float32) for size, px in SIZES_PX.items()},
        {size: answers[px].sure.astype(np.bool_) for size, px in SIZES_PX.items()},
    )


def abroad(faces: Faces, own: Matrices, count: int, draws: int) -> Iterator[Row]:
    """As `simulated`, for faces of another source than the matrices."""
    everyone = np.arange(len(faces.truth))
    shown = np.bincount(faces.truth, minlength=COUNT) > 0
    for room, percents in ROOMS.items():
        mix = np.array(percents) * shown / np.sum(np.array(percents) * shown)
        for sizes in [*((size,) for size in SIZES_PX), tuple(SIZES_PX)]:
            rng = np.random.default_rng(1)
            found = [
                _one_room(draw(faces, everyone, mix, sizes, count, rng), mix, own, own)
                for _ in range(draws)
            ]
            px = " + ".join(str(SIZES_PX[size]) for size in sizes)
            yield _row(room, px, np.mean(found, axis=0))


def simulated(faces: Faces, own: Matrices, count: int, splits: int) -> Iterator[Row]:
    """A row for each room and size of face, and for faces of all sizes together."""
    halves = [half for seed in range(splits) for half in two_halves(faces.truth, seed)]
    others = [
        matrices(faces, half)
        for one, other in zip(halves[::2], halves[1::2], strict=True)
        for half in (other, one)
    ]
    for room, percents in ROOMS.items():
        mix = np.array(percents) / sum(percents)
        for sizes in [*((size,) for size in SIZES_PX), tuple(SIZES_PX)]:
            rng = np.random.default_rng(1)
            found = [
                _one_room(draw(faces, half, mix, sizes, count, rng), mix, other, own)
                for half, other in zip(halves, others, strict=True)
            ]
            px = " + ".join(str(SIZES_PX[size]) for size in sizes)
            yield _row(room, px, np.mean(found, axis=0))


def two_halves(truth: Labels, seed: int) -> tuple[Labels, Labels]:
    """Row numbers of two halves with as many faces of each expression, give or take one."""
    rng = np.random.default_rng(seed)
    kinds = (*range(COUNT), UNCLEAR)
    shuffled = [rng.permutation(np.flatnonzero(truth == one)) for one in kinds]
    return (
        np.concatenate([rows[::2] for rows in shuffled]),
        np.concatenate([rows[1::2] for rows in shuffled]),
    )


def matrices(faces: Faces, half: Labels) -> Matrices:
    """How often each label wins by true expression, by size; who is not sure adds nothing."""
    return {size: _matrix(faces, size, half) for size in faces.answers}


def _matrix(faces: Faces, size: str, half: Labels) -> Matrix:
    winners = np.eye(COUNT, dtype=np.float32)[faces.answers[size][half].argmax(axis=1)]
    counted = winners * faces.sure[size][half][:, None]
    rows: Matrix = rows_of(counted, faces.truth[half], faces.searched[half]).tolist()
    return rows


def draw(
    faces: Faces,
    half: Labels,
    mix: Shares,
    sizes: Sequence[str],
    count: int,
    rng: np.random.Generator,
) -> Seen:
    """What a room of about `count` faces of this mix shows, as many of each size."""
    each = count // len(sizes)
    return {size: _sure_answers(faces, half, mix, size, each, rng) for size in sizes}


def _sure_answers(
    faces: Faces, half: Labels, mix: Shares, size: str, count: int, rng: np.random.Generator
) -> Answers:
    """The answers to `count` faces of this mix, less those that are not sure."""
    drawn = [
        rng.choice(half[faces.truth[half] == one], many)
        for one, many in enumerate(rng.multinomial(count, mix))
        if many
    ]
    chosen = np.concatenate(drawn)
    sure: Answers = faces.answers[size][chosen][faces.sure[size][chosen]]
    return sure


def _one_room(seen: Seen, mix: Shares, other: Matrices, own: Matrices) -> tuple[float, ...]:
    """Errors of labels, of probabilities, corrected by `other`, by `own`; coverage by `other`."""
    answers = np.concatenate(list(seen.values()))
    labels = _winners(answers)
    error, covered = _corrected(seen, mix, other)
    own_error, _ = _corrected(seen, mix, own)
    return _error(labels, mix), _error(answers.sum(axis=0), mix), error, own_error, covered


def _corrected(seen: Seen, mix: Shares, by: Matrices) -> tuple[float, float]:
    """The error, and the part of the intervals that hold the truth; not numbers without `by`."""
    if any(size not in by for size in seen):
        return float("nan"), float("nan")
    found = corrected(
        [
            Evidence(_winners(answers).tolist(), len(answers), by[size])
            for size, answers in seen.items()
        ]
    )
    held = [one.low <= share <= one.high for one, share in zip(found, mix, strict=True)]
    return _error(np.array([one.share for one in found]), mix), float(np.mean(held))


def _winners(answers: Answers) -> Labels:
    counted: Labels = np.bincount(answers.argmax(axis=1), minlength=COUNT)
    return counted


def _error(found: NDArray[Any], mix: Shares) -> float:
    return float(np.abs(found / found.sum() - mix).sum() / 2)


def _row(room: str, px: str, means: Shares) -> Row:
    labels, averaged, by_others, by_file, covered = means.tolist()
    return Row(room, px, labels, averaged, by_others, by_file, covered, by_others <= GOAL)


def show(rows: Sequence[Row], count: int) -> None:
    """The table, the means, and the goal."""
    print(f"Total-variation error in percent, rooms of {count} faces; goal <= {GOAL:.0%}\n")
    heads = f"{'labels':>8}{'scores':>8}{'corrected':>11}{'(by file)':>11}{'interval':>10}"
    print(f"{'room':32}{'faces, px':>13}{heads}")
    for row in [*rows, *_means(rows)]:
        print(f"{row.room:32}{row.faces_px:>13}{row.labels_counted * 100:8.1f}"
              f"{row.probabilities_averaged * 100:8.1f}{row.corrected * 100:11.1f}"
              f"{row.corrected_by_file * 100:11.1f}{row.covered * 100:8.0f} %"
              f"  {'held' if row.held else 'MISSED'}")  # fmt: skip
    print(
        "\nlabels: winning labels counted; scores: probabilities averaged; corrected: by a matrix "
        "of other\nfaces; (by file): by the model's own, which may rest on these faces; "
        "interval: holds the truth."
    )


def _means(rows: Sequence[Row]) -> Iterator[Row]:
    for px in dict.fromkeys(row.faces_px for row in rows):
        figures = [astuple(row)[2:-1] for row in rows if row.faces_px == px]
        yield _row("mean over the rooms", px, np.mean(figures, axis=0))


if __name__ == "__main__":
    main()
