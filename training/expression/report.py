"""The report of an evaluation as files: figures as JSON and CSV, three diagrams."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.training.expression.evaluate import COUNT, Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DOTS_PER_INCH: Final = 90
# A bin with fewer faces says nothing about how often such an answer is right.
_LEAST_IN_BIN: Final = 10
_BLUE: Final = "#1f5fa8"
_ORANGE: Final = "#d9731a"


def write_report(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write `evaluation.json`, `by_expression.csv`, `confusion.csv` and `.png`,
    `calibration.png` and `face_size.png` into `folder`; gives their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_lines(folder / "by_expression.csv", _by_expression(evaluation))
    _write_lines(folder / "confusion.csv", _confusion(evaluation))
    figures = json.dumps(asdict(evaluation), indent=2) + "\n"
    (folder / "evaluation.json").write_text(figures, encoding="utf-8")
    _draw(folder / "confusion.png", (6.0, 5.4), lambda axes: _draw_confusion(axes, evaluation))
    _draw(folder / "calibration.png", (4.6, 4.6), lambda axes: _draw_calibration(axes, evaluation))
    _draw(folder / "face_size.png", (5.4, 4.0), lambda axes: _draw_sizes(axes, evaluation))
    return sorted(path for path in folder.iterdir() if path.suffix in {".json", ".csv", ".png"})


def _by_expression(evaluation: Evaluation) -> list[list[str]]:
    rows = [["expression", "pictures", "recall", "precision"]]
    for name, row in zip(EXPRESSIONS, evaluation.confusion, strict=True):
        rows.append(
            [
                name,
                str(sum(row)),
                f"{evaluation.recall[name]:.4f}",
                f"{evaluation.precision[name]:.4f}",
            ]
        )
    return rows


def _confusion(evaluation: Evaluation) -> list[list[str]]:
    counts = zip(EXPRESSIONS, evaluation.confusion, strict=True)
    head = ["true \\ answered", *EXPRESSIONS]
    return [head, *([name, *map(str, row)] for name, row in counts)]


def _write_lines(path: Path, rows: list[list[str]]) -> None:
    path.write_text("".join(",".join(row) + "\n" for row in rows), encoding="utf-8")


def _draw(path: Path, inches: tuple[float, float], draw: Callable[["Axes"], None]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, layout="constrained")
    draw(figure.add_subplot())
    figure.savefig(path, dpi=_DOTS_PER_INCH)


def _draw_confusion(axes: "Axes", evaluation: Evaluation) -> None:
    table = np.array(evaluation.confusion)
    shares = table / table.sum(axis=1, keepdims=True).clip(min=1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(COUNT), EXPRESSIONS, rotation=45, ha="right")
    axes.set_yticks(range(COUNT), EXPRESSIONS)
    axes.set(xlabel="answered", ylabel="true (majority of votes)")
    axes.set_title(f"{evaluation.n:,} faces, {evaluation.accuracy:.1%} right")
    for (row, column), count in np.ndenumerate(table):
        shade = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=shade, fontsize=8)


def _draw_calibration(axes: "Axes", evaluation: Evaluation) -> None:
    confidence, right, counts = (
        np.array(column) for column in zip(*evaluation.calibration, strict=True)
    )
    axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", label="as sure as right")
    axes.bar(confidence, counts / counts.sum(), width=0.04, color="0.85", label="part of the faces")
    is_filled = counts >= _LEAST_IN_BIN
    axes.plot(
        confidence[is_filled],
        right[is_filled],
        color=_BLUE,
        marker="o",
        markersize=4,
        label="this model",
    )
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="highest probability", ylabel="how often it is right")
    axes.set_title(f"expected calibration error {evaluation.ece:.1%}")
    axes.legend(loc="upper left", frameon=False)


def _draw_sizes(axes: "Axes", evaluation: Evaluation) -> None:
    sides = [int(px) for px in evaluation.accuracy_by_px]
    sure = [share for share, _ in evaluation.sure_by_px.values()]
    bottom = min(0.5, *evaluation.accuracy_by_px.values(), *sure)
    axes.plot(
        sides, list(evaluation.accuracy_by_px.values()), color=_BLUE, marker="o", label="accuracy"
    )
    axes.plot(sides, sure, color=_ORANGE, marker="s", label="part that counts as sure")
    axes.set(xlabel="side of the face in the frame, pixels", ylim=(bottom, 1))
    axes.set_xticks(sides)
    axes.set_title("accuracy by face size")
    axes.grid(color="0.9")
    axes.legend(loc="lower right", frameon=False)
