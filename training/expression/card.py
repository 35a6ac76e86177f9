"""The model card of an exported classifier: fixed prose, measured figures, the trainer's recipe."""

import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from string import Template

from roommood.shared.errors import ConfigError
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.training.expression.evaluate import Classifier, Evaluation

TEMPLATE = Path(__file__).with_name("card.md")


@dataclass(frozen=True)
class Recipe:
    """What only the trainer knows; `more_data` is Markdown about data beside FER+, `unseen` about
    figures on sources that were not learnt from, `copies` about those of one picture in more than
    one split."""

    training_data: str
    how: str
    commands: list[str]
    more_data: str = ""
    unseen: str = ""
    copies: str = "FER2013 holds copies of the same picture across its splits, with other votes."


def read_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file whose keys are Recipe's fields."""
    try:
        return Recipe(**tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def write_card(model: Path, evaluation: Evaluation, recipe: Recipe, multiply_adds: int) -> Path:
    """Write the card beside the exported file `model`; gives the path of the card."""
    text = Template(TEMPLATE.read_text(encoding="utf-8"))
    texts = _recipe_texts(recipe) | {"multiply_adds": f"{multiply_adds / 1e6:.0f}"}
    card = model.with_suffix(".MODEL_CARD.md")
    card.write_text(text.substitute(_figures(model, evaluation) | texts), encoding="utf-8")
    return card


def _recipe_texts(recipe: Recipe) -> dict[str, str]:
    return {
        "how": recipe.how,
        "unseen": recipe.unseen and f"{recipe.unseen}\n",
        "copies": recipe.copies,
        "more_data": recipe.more_data and f"{recipe.more_data}\n",
        "commands": "\n    ".join(recipe.commands),
    }


def _figures(model: Path, evaluation: Evaluation) -> dict[str, str]:
    metadata = Classifier(model).metadata
    return {
        "model_id": metadata["roommood.model_id"],
        "temperature": metadata["roommood.temperature"],
        "tight": f"{json.loads(metadata['roommood.crop'])['tight']['side']:.2f}",
        "sure_threshold": metadata["roommood.sure_threshold"],
        "labels": ", ".join(EXPRESSIONS),
        "file": model.name,
        "numbers": _numbers(model),
        "kilobytes": f"{model.stat().st_size / 1000:.0f}",
        "parameters": f"{evaluation.params:,}",
        "ms_per_face": f"{evaluation.ms_per_face:.2f}",
        "n": f"{evaluation.n:,}",
        "accuracy": f"{evaluation.accuracy:.1%}",
        "ece": f"{evaluation.ece:.1%}",
        "mean_recall": f"{evaluation.mean_recall_of_seven:.1%}",
        "sure_share": f"{evaluation.sure_by_px['48'][0]:.1%}",
        "sure_accuracy": f"{evaluation.sure_by_px['48'][1]:.1%}",
        "by_expression": _by_expression(evaluation),
        "confusion": _confusion(evaluation),
        "by_px": _by_px(evaluation),
        "by_crop": _lines(
            (px, f"{part:.1%}") for px, part in evaluation.accuracy_by_crop_px.items()
        ),
    }


def _numbers(model: Path) -> str:
    import onnx

    if any(node.op_type == "QuantizeLinear" for node in onnx.load(model).graph.node):
        return "weights and activations of eight bits"
    return "weights stored as fp16 and computed in fp32"


def _by_expression(evaluation: Evaluation) -> str:
    counts = [sum(row) for row in evaluation.confusion]
    return _lines(
        (name, str(count), f"{evaluation.recall[name]:.0%}", f"{evaluation.precision[name]:.0%}")
        for name, count in zip(EXPRESSIONS, counts, strict=True)
    )


def _confusion(evaluation: Evaluation) -> str:
    head = _lines([("", *EXPRESSIONS), ("---",) * (len(EXPRESSIONS) + 1)])
    rows = zip(EXPRESSIONS, evaluation.confusion, strict=True)
    return f"{head}\n{_lines((name, *map(str, row)) for name, row in rows)}"


def _by_px(evaluation: Evaluation) -> str:
    return _lines(
        (
            px,
            f"{part:.1%}",
            f"{evaluation.ece_by_px[px]:.1%}",
            f"{evaluation.sure_by_px[px][0]:.0%}",
        )
        for px, part in evaluation.accuracy_by_px.items()
    )


def _lines(rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
