"""Models and measurements as tables for people."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from rich.console import Group
from rich.table import Table

from roommood.inference_worker.evaluation.model_evaluation import Figures
from roommood.inference_worker.models.info import ModelInfo
from roommood.inference_worker.models.store import KnownModel
from roommood.inference_worker.vision.onnx_model import Shape
from roommood.shared.protocol.emotions import EXPRESSIONS

# Long ones, which `--json` gives in full.
_ABRIDGED: Final = frozenset({"confusion", "selftest"})
_SHARES: Final = frozenset(
    {
        "accuracy",
        "mean_recall_7",
        "mean_recall",
        "ece",
        "ece_alike",
        "sure",
        "sure_alike",
        "accuracy_of_sure",
        "accuracy_of_sure_alike",
        "found",
        "ap",
        "recall",
    }
)


def models_table(models: Sequence[KnownModel]) -> Table:
    table = _table("Model", "For", "State", "Bytes", "Licence", "What")
    for model in models:
        size = f"{model.size:,}"
        row = (model.name, model.task, model.state, size, model.licence, model.about)
        table.add_row(*row)
    return table


def info_table(info: ModelInfo) -> Table:
    table = _table("", "")
    table.add_row("file", str(info.path))
    table.add_row("task", info.task)
    table.add_row("size", f"{info.bytes:,} bytes, {info.params:,} parameters")
    table.add_row("SHA-256", info.sha256)
    table.add_row("input", _shape(info.input_shape))
    for name, shape in info.output_shapes.items():
        table.add_row(f"output {name}", _shape(shape))
    _add_rows(table, info.contract)
    _add_rows(table, info.metadata)
    return table


def figures_table(figures: Figures) -> Group:
    """Shares as percentages; the confusion of a classifier as a table of its own."""
    values = asdict(figures)
    table = _table(values["model"], "")
    for key, value in values.items():
        if key in {"model", "confusion"}:
            continue
        if isinstance(value, Mapping):
            counts = key.startswith("n_")
            table.add_row(key, ", ".join(f"{k} {_value(v, not counts)}" for k, v in value.items()))
        else:
            table.add_row(key, _value(value, key in _SHARES))
    confusion = values.get("confusion")
    return Group(table, _confusion_table(confusion)) if confusion else Group(table)


def _confusion_table(confusion: Iterable[Sequence[int]]) -> Table:
    table = _table("true \\ told", *EXPRESSIONS)
    for label, row in zip(EXPRESSIONS, confusion, strict=True):
        table.add_row(label, *map(str, row))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, show_header=any(columns), header_style="bold", collapse_padding=True)
    for place, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=place == 0)
    return table


def _add_rows(table: Table, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        shown = "recorded" if key in _ABRIDGED and value else _text(value)
        if shown:
            table.add_row(key, shown)


def _text(value: Any) -> str:
    if value is None or value in ("", {}):
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _value(value: Any, is_share: bool) -> str:
    if value is None:
        return "-"
    if is_share:
        return f"{value:.1%}"
    return (
        f"{value:,}"
        if isinstance(value, int)
        else f"{value:g}"
        if isinstance(value, float)
        else value
    )


def _shape(shape: Shape) -> str:
    return "x".join("?" if side is None else str(side) for side in shape)
