"""The second teacher's outputs, on a file whose every output is known."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from roommood.training.face.scrfd import Scrfd

SIZES = {8: 12_800, 16: 3_200, 32: 800}


def one_face(path: Path) -> Path:
    """Whatever it is shown: a face of stride 8 in the second anchor of row 3, column 5."""
    nodes, weights, outputs = [], [], []
    for stride, anchors in SIZES.items():
        for name, width in (("score", 1), ("bbox", 4), ("kps", 10)):
            values = np.zeros((1, anchors, width), np.float32)
            if stride == 8:
                values[0, (3 * 80 + 5) * 2 + 1] = {"score": 0.9, "bbox": [1, 2, 3, 4]}.get(name, 1)
            weights.append(numpy_helper.from_array(values, f"w_{name}_{stride}"))
            nodes.append(helper.make_node("Identity", [f"w_{name}_{stride}"], [f"{name}_{stride}"]))
            outputs.append(
                helper.make_tensor_value_info(f"{name}_{stride}", TensorProto.FLOAT, values.shape)
            )
    shown = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [1, 3, 640, 640])
    model = helper.make_model(
        helper.make_graph(nodes, "scrfd", [shown], outputs, weights),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    model.ir_version = 8
    onnx.save(model, str(path))
    return path


def test_distances_and_landmarks_are_in_strides_from_the_cells_corner(tmp_path: Path) -> None:
    teacher = Scrfd.open(one_face(tmp_path / "s.onnx"))
    faces = teacher.detect(np.zeros((320, 320, 3), np.uint8))
    assert faces.scores.tolist() == pytest.approx([0.9])
    # The picture is enlarged twice: the corner (40, 24) of the input is (20, 12) of the picture.
    assert faces.boxes[0].tolist() == [20 - 4, 12 - 8, 20 + 12, 12 + 16]
    assert faces.landmarks[0, 0].tolist() == [24, 16]


def test_a_face_below_the_threshold_is_not_reported(tmp_path: Path) -> None:
    teacher = Scrfd.open(one_face(tmp_path / "s.onnx"))
    assert len(teacher.detect(np.zeros((320, 320, 3), np.uint8), 0.95)) == 0
