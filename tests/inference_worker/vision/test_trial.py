"""A classifier whose contract says what it does not do is refused before anything of it counts."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from roommood.inference_worker.evaluation.expression import evaluate_expression
from roommood.inference_worker.vision.analysis import open_analyzer
from roommood.inference_worker.vision.emotions import ExpressionClassifier, open_classifier
from roommood.shared.errors import ModelError
from roommood.shared.protocol.emotions import EXPRESSIONS
from tests.inference_worker.evaluation.evaluation_data import NEUTRAL, ferplus_folder
from tests.inference_worker.tiny_models import expression_metadata


def node(kind: str, *inputs: str, to: str = "out", **attributes: Any) -> NodeProto:
    return helper.make_node(kind, list(inputs), [to], **attributes)


def network(
    path: Path,
    *tail: NodeProto,
    output: str = "logits",
    labels: int = 8,
    shape: Sequence[Any] = ("n", 1, 8, 8),
    of: Any = TensorProto.FLOAT,
    declared: Sequence[Any] = ("n", 8),
    first: Sequence[NodeProto] = (),
    to_shape: Sequence[int] = (-1, 8),
) -> Path:
    """`raw`, random sums of the 64 pixels of `flat`, and what `tail` makes of it."""
    numbers = np.random.default_rng(1)
    weights = numbers.normal(0, 0.5, (64, labels)).astype(np.float32)
    constants = {
        "weights": weights,
        "hundred": np.float32(100),
        "zero": np.float32(0),
        "far_apart": np.array([50, *[0] * 7], np.float32),
        "one_row": np.array([1, -1], np.int64),
        "to_shape": np.array(to_shape, np.int64),
    }
    nodes = [*first] or [node("Flatten", "faces", to="flat")]
    nodes += [node("MatMul", "flat", "weights", to="raw"), *(tail or [node("Identity", "raw")])]
    graph = helper.make_graph(
        nodes,
        "expression",
        [helper.make_tensor_value_info("faces", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", of, declared)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    names = list(EXPRESSIONS[:labels])
    helper.set_model_props(model, expression_metadata(output=output, labels=names))
    onnx.save(model, path)
    return path


SOFTMAX = node("Softmax", "raw", axis=1)
SIGMOID = node("Sigmoid", "raw")
PERCENT = (node("Softmax", "raw", to="shares", axis=1), node("Mul", "shares", "hundred"))


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., ExpressionClassifier]:
    def open_it(*tail: NodeProto, **how: Any) -> ExpressionClassifier:
        return open_analyzer(classifier=str(network(tmp_path / "e.onnx", *tail, **how))).classifier

    return open_it


@pytest.mark.parametrize(
    ("tail", "output", "todo"),
    [
        ([SOFTMAX], "logits", "outputs add up to 1: set output to 'probabilities'"),
        (PERCENT, "logits", "percent: let the model divide them by 100"),
        (PERCENT, "probabilities", "add up to 100.*: let the model divide them by 100"),
        ([SIGMOID], "logits", "between 0 and 1: those of sigmoids .*: export the layer before"),
        ([SIGMOID], "probabilities", "no probabilities .*: those of sigmoids"),
        ([], "probabilities", "no probabilities .*: set output to 'logits'"),
        ([node("Mul", "raw", "zero")], "logits", "the same answer whatever the picture"),
        ([node("Log", "raw")], "logits", "not a number: the file is damaged, or mean and std"),
    ],
)
def test_outputs_of_another_kind_than_said_are_refused(
    opened: Callable[..., ExpressionClassifier], tail: list[NodeProto], output: str, todo: str
) -> None:
    with pytest.raises(ModelError, match=f"e.onnx: .*{todo}"):
        opened(*tail, output=output)


@pytest.mark.parametrize(
    ("tail", "output", "labels"),
    [
        ([SOFTMAX], "probabilities", 8),
        ([node("LogSoftmax", "raw", axis=1)], "logits", 8),
        ([], "logits", 8),
        ([], "logits", 2),
    ],
)
def test_what_is_as_it_says_is_taken(
    opened: Callable[..., ExpressionClassifier], tail: list[NodeProto], output: str, labels: int
) -> None:
    classifier = opened(*tail, output=output, labels=labels, declared=("n", labels))
    classifier.warm_up()


def test_a_model_that_is_all_but_certain_of_each_picture_is_taken(
    opened: Callable[..., ExpressionClassifier],
) -> None:
    """As many are of what is no face: 1 - 1e-8 is no sign that the picture counts for nothing."""
    certain = [
        node("Add", "raw", "far_apart", to="logits"),
        node("Softmax", "logits", axis=1),
    ]
    opened(*certain, output="probabilities")


@pytest.mark.parametrize("kind", ["INT64", "STRING", "BOOL"])
def test_outputs_that_are_no_floats_are_refused(
    opened: Callable[..., ExpressionClassifier], kind: str
) -> None:
    of = getattr(TensorProto, kind)
    with pytest.raises(ModelError, match=rf"out is tensor\({kind.lower()}\), not of floats"):
        opened(cast(of), of=of)


def cast(of: int) -> NodeProto:
    return helper.make_node("Cast", ["raw"], ["out"], to=of)


@pytest.mark.parametrize("kind", ["DOUBLE", "FLOAT16"])
def test_floats_of_another_size_give_the_same_answers(tmp_path: Path, kind: str) -> None:
    of = getattr(TensorProto, kind)
    crops = np.random.default_rng(2).integers(0, 256, (3, 8, 8), np.uint8)
    files = network(tmp_path / "a.onnx"), network(tmp_path / "b.onnx", cast(of), of=of)
    due, got = (open_classifier(str(file), box_style="tight").answers(crops) for file in files)
    assert np.abs(due - got).max() < 0.01


def test_a_model_left_in_training_is_refused(opened: Callable[..., ExpressionClassifier]) -> None:
    """Batch normalisation by the batch itself makes a face's answer that of its neighbours too."""
    normalised = [node("ReduceMean", "raw", to="mean", axes=[0]), node("Sub", "raw", "mean")]
    with pytest.raises(ModelError, match=r"changes by 0.* with those beside it.*model\.eval"):
        opened(*normalised)


@pytest.mark.parametrize("declared", [(1, 8), ("m", "k")])
def test_a_model_that_takes_one_face_whatever_it_says_is_given_one_at_a_time(
    tmp_path: Path, declared: Sequence[Any]
) -> None:
    """As an export by tracing leaves it, which wrote the batch that it saw into a reshape."""
    crops = np.random.default_rng(2).integers(0, 256, (3, 8, 8), np.uint8)
    file = network(tmp_path / "e.onnx", node("Reshape", "raw", "one_row"), declared=declared)
    classifier = open_analyzer(classifier=str(file)).classifier
    due = open_classifier(str(network(tmp_path / "any.onnx")), box_style="tight")
    assert np.allclose(classifier.answers(crops), due.answers(crops), atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "output"),
    [
        (("n", 1, 8, 8), (-1, 1, 1, 8)),
        (("n", 1, 8, 8), (-1, 8, 1)),
        ((1, 1, 8, 8), (1, 8, 1, 1)),
        ((1, 1, 8, 8), (8,)),
    ],
)
def test_an_output_may_have_dimensions_of_one_beside_or_none_for_its_only_face(
    tmp_path: Path, shape: Sequence[Any], output: Sequence[int]
) -> None:
    crops = np.random.default_rng(2).integers(0, 256, (3, 8, 8), np.uint8)
    declared = ["n" if side < 0 else side for side in output]
    due = open_classifier(str(network(tmp_path / "any.onnx")), box_style="tight")
    for name, sides in (("a.onnx", declared), ("b.onnx", ["k"] * len(output))):
        file = network(
            tmp_path / name,
            node("Reshape", "raw", "to_shape"),
            shape=shape,
            declared=sides,
            to_shape=output,
        )
        classifier = open_analyzer(classifier=str(file)).classifier
        assert np.allclose(classifier.answers(crops), due.answers(crops), atol=1e-5)


def test_a_model_that_divides_by_a_pictures_contrast_is_taken(
    opened: Callable[..., ExpressionClassifier],
) -> None:
    """To an even picture, as no face is, it gives what is no number."""
    by_itself = [
        node("Flatten", "faces", to="pixels"),
        node("ReduceMean", "pixels", to="mean", axes=[1]),
        node("Sub", "pixels", "mean", to="apart"),
        node("ReduceL2", "apart", to="contrast", axes=[1]),
        node("Div", "apart", "contrast", to="flat"),
    ]
    classifier = opened(first=by_itself)
    classifier.warm_up()
    with pytest.raises(ModelError, match="not a number"):
        classifier.answers(np.zeros((1, 8, 8), np.uint8))


def test_figures_are_not_measured_of_such_a_model(tmp_path: Path) -> None:
    ferplus_folder(tmp_path / "data", [(10, NEUTRAL)])
    with pytest.raises(ModelError, match="set output to 'probabilities'"):
        evaluate_expression(network(tmp_path / "e.onnx", SOFTMAX), tmp_path / "data")
