"""From a checkpoint to an ONNX file that carries its own contract.

What is fitted (the temperature) is fitted on the held-out part of Train; what is
stated (accuracy, confusion by face size) is measured through onnxruntime on the
finished graph.
"""

import json
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper

from roommood.inference_worker.evaluation.ferplus import (
    SIDE_PX,
    SPLITS,
    FaceSet,
    majority_labels,
    read_split,
)
from roommood.shared.errors import ConfigError
from roommood.shared.process.progress import Progress, no_progress
from roommood.shared.protocol.emotions import EXPRESSIONS
from roommood.training.expression.card import read_recipe, write_card
from roommood.training.expression.confusion import Labelled, confusion_by_size, labelled
from roommood.training.expression.data import TRAIN, learnable
from roommood.training.expression.eight_bits import in_eight_bits
from roommood.training.expression.evaluate import (
    Classifier,
    Evaluation,
    clear_faces,
    evaluate,
    scaled,
)
from roommood.training.expression.ferplus import Floats, expression_shares, held_out
from roommood.training.expression.fused import with_global_pools, with_strided_shortcuts
from roommood.training.expression.net import (
    MEAN,
    STD,
    ExpressionNet,
    count_multiply_adds,
    one_headed,
)
from roommood.training.expression.odds import (
    even_out,
    fit_temperature,
    odds_of_rooms,
    prior_odds,
)
from roommood.training.expression.targets import (
    are_of_strangers,
    read_first_labels,
    read_names,
    without_names,
)
from roommood.training.expression.train import is_evened, load_net, predict
from roommood.training.expression.two_headed import first_label_shares

VALID = SPLITS["valid"]
CONTRACT = "1"
SELFTEST_SEED = 7
SMALLEST_HALVED = 64
# Faces of Train whose activations set the ranges of a network in eight bits.
CALIBRATION_FACES, CALIBRATION_SEED = 1000, 1
SURE_THRESHOLD = 0.65
CAUTION = 1.1
FIRST_LABEL_POWER = 0.25
# Contempt is no first label: it gets about what the head adds to the label that a face deserves.
LACKING_ODDS = 5.5
# 1.0 and 1.13 correspond to the pictures of FER2013; on photographs of other sources tighter crops
# are right as often, and of a face that talks they are less often taken for fear.
CROP = {
    "of": "sqrt",
    "haar": {"side": 0.93, "dx": 0.0, "dy": 0.0},
    "tight": {"side": 1.0, "dx": 0.0, "dy": 0.0},
}
LICENCE = (
    "Weights: Apache-2.0. FER+ labels: MIT. The rights in the FER2013 pictures are not settled."
)
TRAINING_DATA = (
    "FER2013 (Goodfellow et al. 2013) with FER+ votes (Barsoum et al. 2016), Train split"
)

OWN_LICENCE = "not stated: it is for whoever took the pictures to say"
OWN_DATA = "Own pictures, one label each"


@dataclass(frozen=True)
class ExportSettings:
    """`data` holds FER2013Train and FER2013Valid; with a `recipe` (TOML) a model card is written.

    In `eight_bits` the network computes with bytes; else in fp32, with weights stored as fp16.

    Probabilities are divided by the share of their expression in what was learnt from, to the
    power `prior_power`, since rooms and photographs show other shares than FER+, and multiplied by
    what `raised` says, where strangers voted. Of a run that began with an exported file that was
    done already: there nothing is added unless it is asked for. What no picture taught is never
    answered. The temperature is fitted for faces mixed in that way, then multiplied by `caution`,
    since on pictures of other sources the network errs more often than on FER+.

    Of a network of `distil` the second head's logits are added `first_label_power` times, divided
    by the shares of `first_labels`. These have a say in the confusion matrices, too, and what
    `leave_out` names has none.
    """

    checkpoint: Path
    data: Path
    model: Path
    model_id: str = "expression-own"
    held_out_percent: int = 5
    sure_threshold: float = SURE_THRESHOLD
    recipe: Path | None = None
    training_data: str | None = None
    eight_bits: bool = True
    leave_out: Path | None = None
    prior_power: float | None = None
    caution: float = CAUTION
    raised: Mapping[str, float] | None = None
    first_labels: Path | None = None
    first_label_power: float = FIRST_LABEL_POWER


def export(settings: ExportSettings, progress: Progress = no_progress) -> Evaluation:
    """Write `settings.model` with its whole contract; gives what was measured on Valid."""
    net = load_net(settings.checkpoint)
    learnt, kept_out = known_faces(settings)
    by_votes = are_of_strangers(kept_out.votes)
    truth = majority_labels(kept_out.votes)
    odds = _odds(settings, learnt, by_votes)
    weights = np.exp(odds[truth])
    if net.shape.heads > 1:
        net = one_headed(net, settings.first_label_power)
        odds += settings.first_label_power * _first_label_odds(settings)
    even_out(net, odds * fit_temperature(predict(net, kept_out.pictures), truth, odds, weights))
    graph = _finished(to_graph(net), settings)
    contract = _fixed_contract(
        settings.model_id, _training_data(settings, by_votes), 1.0, settings.sure_threshold
    )
    if not by_votes:
        contract["roommood.licence"] = OWN_LICENCE
    save(graph, contract, settings.model)
    logits = Classifier(settings.model).logits(kept_out.pictures)
    fitted = fit_temperature(logits, truth, weights=weights)
    temperature = round(fitted * settings.caution, 4)
    contract["roommood.temperature"] = str(temperature)
    save(graph, contract, settings.model)
    measured = evaluate(settings.model, settings.data / VALID, progress)
    save(graph, contract | _measured_contract(settings, kept_out, measured), settings.model)
    if settings.recipe:
        recipe = read_recipe(settings.recipe)
        write_card(settings.model, measured, recipe, count_multiply_adds(net))
    return measured


def _odds(settings: ExportSettings, learnt: Floats, by_votes: bool) -> Floats:
    power, raised = settings.prior_power, settings.raised
    if is_evened(settings.checkpoint):
        power, raised = power or 0.0, raised or {}
    return odds_of_rooms(learnt, power, raised, by_votes)


def _training_data(settings: ExportSettings, by_votes: bool) -> str:
    if settings.recipe:
        return read_recipe(settings.recipe).training_data
    return settings.training_data or (TRAINING_DATA if by_votes else OWN_DATA)


def _finished(graph: ModelProto, settings: ExportSettings) -> ModelProto:
    if not settings.eight_bits:
        return halve_weights(graph)
    split = read_split(settings.data / "FER2013Train")
    chosen = np.random.default_rng(CALIBRATION_SEED).permutation(len(split.names))
    faces = split.pictures[np.sort(chosen[:CALIBRATION_FACES])]
    return _without_traces(in_eight_bits(graph, scaled(faces, MEAN, STD)))


def export_alone(
    net: ExpressionNet, model: Path, model_id: str, training_data: str, temperature: float
) -> None:
    """Write `model` where there is no FER+ to measure it on: without confusion and accuracy."""
    graph = halve_weights(to_graph(net))
    contract = _fixed_contract(model_id, training_data, temperature)
    save(graph, contract, model)
    save(graph, contract | {"roommood.selftest": json.dumps(selftest(model))}, model)


def known_faces(settings: ExportSettings) -> tuple[Floats, FaceSet]:
    """The share (8,) of each expression in what is learnt from, and the faces with a clear
    majority in that part of Train which no run has learned from."""
    split = learnable(settings.data, settings.leave_out)
    out = held_out(split.names, settings.held_out_percent)
    shares = expression_shares(split.votes[~out])
    return shares.sum(axis=0) / shares.sum(), clear_faces(split.take(out))


def never_learnt_from(settings: ExportSettings, kept_out: FaceSet) -> Labelled:
    """The faces by which shares are corrected: Valid, less what is left out, and those of Train
    that were kept out."""
    valid = read_split(settings.data / VALID)
    if settings.leave_out:
        valid = without_names(valid, VALID, read_names(settings.leave_out))
    first = read_first_labels(settings.first_labels) if settings.first_labels else {}
    return labelled(valid, VALID, first).joined(labelled(kept_out, TRAIN, first))


def _first_label_odds(settings: ExportSettings) -> Floats:
    if settings.first_labels is None:
        raise ConfigError(f"{settings.checkpoint} has two heads: name --first-labels, too")
    shares = first_label_shares(read_first_labels(settings.first_labels))
    return np.where(shares > 0, prior_odds(shares), LACKING_ODDS)


def to_graph(net: ExpressionNet) -> ModelProto:
    """The network as ONNX: `faces` (n, 1, 48, 48) to `logits` (n, 8), batch norms folded away and
    what is slow to compute in bytes put otherwise."""
    # It tells at length of operators that this network does not use.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # of torch, on itself
        program = torch.onnx.export(
            with_strided_shortcuts(net).to(memory_format=torch.contiguous_format),  # type: ignore[call-overload]
            (torch.zeros(2, 1, SIDE_PX, SIDE_PX),),
            dynamo=True,
            opset_version=18,
            input_names=["faces"],
            output_names=["logits"],
            dynamic_shapes={"faces": {0: torch.export.Dim("n")}},
            verbose=False,
        )
    assert program is not None
    return _without_traces(with_global_pools(program.model_proto))


def halve_weights(graph: ModelProto) -> ModelProto:
    """Weights stored as fp16 and cast when loaded: half the file, the same fp32 arithmetic."""
    halved = ModelProto()
    halved.CopyFrom(graph)
    casts = []
    for weight in halved.graph.initializer:
        values = numpy_helper.to_array(weight)
        if weight.data_type != TensorProto.FLOAT or values.size < SMALLEST_HALVED:
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *halved.graph.node]
    del halved.graph.node[:]
    halved.graph.node.extend(nodes)
    return halved


def selftest(model: Path) -> dict[str, object]:
    """Two made pictures' seed and this model's answers, for the check at start-up."""
    made = np.random.default_rng(SELFTEST_SEED).integers(0, 256, (2, SIDE_PX, SIDE_PX), np.uint8)
    answers = Classifier(model).probabilities(made)
    return {"seed": SELFTEST_SEED, "probabilities": answers.round(6).tolist()}


def save(graph: ModelProto, contract: Mapping[str, str], path: Path) -> None:
    """Write the graph with `contract` as its metadata, after onnx has checked it."""
    stamped = ModelProto()
    stamped.CopyFrom(graph)
    helper.set_model_props(stamped, dict(contract))
    onnx.checker.check_model(stamped)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(stamped, path)


def _fixed_contract(
    model_id: str, training_data: str, temperature: float, sure_threshold: float = SURE_THRESHOLD
) -> dict[str, str]:
    shape = {"width": SIDE_PX, "height": SIDE_PX, "channels": 1, "colour": "gray", "layout": "NCHW"}
    return {
        "roommood.contract": CONTRACT,
        "roommood.task": "expression",
        "roommood.model_id": model_id,
        "roommood.labels": json.dumps(EXPRESSIONS),
        "roommood.input": json.dumps(shape | {"mean": [MEAN], "std": [STD]}),
        "roommood.output": "logits",
        "roommood.temperature": str(temperature),
        "roommood.crop": json.dumps(CROP),
        "roommood.sure_threshold": str(sure_threshold),
        "roommood.licence": LICENCE,
        "roommood.training_data": training_data,
    }


def _measured_contract(
    settings: ExportSettings, kept_out: FaceSet, measured: Evaluation
) -> dict[str, str]:
    faces = never_learnt_from(settings, kept_out)
    confusion = confusion_by_size(settings.model, faces, settings.sure_threshold)
    return {
        "roommood.confusion": json.dumps(confusion),
        "roommood.selftest": json.dumps(selftest(settings.model)),
        "roommood.accuracy": json.dumps(summary(measured)),
    }


def summary(measured: Evaluation) -> dict[str, object]:
    """The figures of an evaluation that travel with the model."""
    return {
        "split": "FER2013Valid, eight expressions, majority of votes, single view",
        "n": measured.n,
        "accuracy": round(measured.accuracy, 4),
        "ece": round(measured.ece, 4),
        "mean_recall_of_seven": round(measured.mean_recall_of_seven, 4),
        "recall": {name: round(value, 3) for name, value in measured.recall.items()},
        "accuracy_by_px": {px: round(value, 4) for px, value in measured.accuracy_by_px.items()},
        "accuracy_by_crop_px": {
            px: round(value, 4) for px, value in measured.accuracy_by_crop_px.items()
        },
    }


def _without_traces(graph: ModelProto) -> ModelProto:
    # torch notes source paths and stack traces on every node; a shipped file must not tell them
    del graph.metadata_props[:]
    graph.doc_string = ""
    del graph.graph.value_info[:]
    del graph.graph.metadata_props[:]
    parts = (graph.graph.node, graph.graph.input, graph.graph.output, graph.graph.initializer)
    for part in (item for items in parts for item in items):
        del part.metadata_props[:]
        part.doc_string = ""
    return graph
