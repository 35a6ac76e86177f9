"""Counting parameters from the bytes of an ONNX file, held against the onnx package."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from roommood.inference_worker.models.files import SHIPPED_EXPRESSION
from roommood.inference_worker.models.params import count_params
from roommood.shared.errors import ModelError


def saved(path: Path, *tensors: TensorProto) -> Path:
    graph = helper.make_graph([], "g", [], [], list(tensors))
    onnx.save(helper.make_model(graph), path)
    return path


def test_weights_count_however_they_are_stored(tmp_path: Path) -> None:
    file = saved(
        tmp_path / "m.onnx",
        numpy_helper.from_array(np.zeros((3, 5, 300), np.float32), "single"),
        numpy_helper.from_array(np.zeros((7, 2), np.float16), "half"),
        numpy_helper.from_array(np.zeros(11, np.int8), "quantised"),
        helper.make_tensor("as numbers", TensorProto.FLOAT, [2, 2], [1, 2, 3, 4]),
        numpy_helper.from_array(np.array(1, np.float32), "a scalar"),
        numpy_helper.from_array(np.zeros(13, np.int64), "a shape, no weight"),
    )
    assert count_params(file) == 4500 + 14 + 11 + 4 + 1


def test_a_model_without_weights_has_none(tmp_path: Path) -> None:
    assert count_params(saved(tmp_path / "m.onnx")) == 0


def test_the_shipped_model_counts_as_the_onnx_package_counts() -> None:
    weights = onnx.load(SHIPPED_EXPRESSION).graph.initializer
    due = sum(int(np.prod(w.dims)) for w in weights if w.data_type != TensorProto.INT64)
    assert count_params(SHIPPED_EXPRESSION) == due


@pytest.mark.parametrize("content", [b"\x3a\xff\x01", b"\x3a", b"\x80", b"\x0b\x00"])
def test_what_is_no_onnx_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"m.onnx: not a readable ONNX file"):
        count_params(path)
