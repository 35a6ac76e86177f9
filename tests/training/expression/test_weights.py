"""An exported file as the start of a training."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from roommood.inference_worker.models.files import SHIPPED_EXPRESSION
from roommood.shared.errors import ModelError
from roommood.training.expression.evaluate import Classifier, softmax
from roommood.training.expression.export import export_alone
from roommood.training.expression.net import EARLIER, ExpressionNet
from roommood.training.expression.train import load_net, predict
from roommood.training.expression.weights import freeze_norms

FACES = np.random.default_rng(3).integers(0, 256, (16, 48, 48), dtype=np.uint8)


def test_the_shipped_file_becomes_a_net_that_answers_as_it_does() -> None:
    shipped = Classifier(SHIPPED_EXPRESSION)
    logits = predict(load_net(SHIPPED_EXPRESSION), FACES)
    answers = softmax(logits / shipped.temperature)
    # Its arithmetic is in floats, the file's in bytes.
    assert np.abs(answers - shipped.probabilities(FACES)).mean() < 0.05


def test_a_file_of_the_shape_that_was_shipped_before_is_still_read(tmp_path: Path) -> None:
    import torch

    before = ExpressionNet(EARLIER).eval()
    for weight in before.parameters():  # The export stores equal ones once, as no trained net has.
        torch.nn.init.normal_(weight, 0.1, 0.1)
    export_alone(before, tmp_path / "own.onnx", "own-1", "noise", 1.0)
    assert load_net(tmp_path / "own.onnx").shape == EARLIER


def test_frozen_norms_answer_alike_while_training() -> None:
    import torch

    from roommood.training.expression.data import as_input

    net = load_net(SHIPPED_EXPRESSION)
    expected = predict(net, FACES)
    net.train()
    freeze_norms(net)
    net.dropout.eval()
    with torch.inference_mode():
        assert np.abs(net(as_input(FACES)).numpy() - expected).max() < 1e-3


def test_another_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError, match=r"other\.onnx"):
        load_net(tmp_path / "other.onnx")
    (tmp_path / "other.pt").write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError, match=r"other\.pt is not a checkpoint"):
        load_net(tmp_path / "other.pt")
