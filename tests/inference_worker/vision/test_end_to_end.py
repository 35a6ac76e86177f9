"""A detector that decodes its boxes by itself gives what the worker's own decoding gives."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.pictures import scenes
from roommood.inference_worker.models.files import SHIPPED_FACE
from roommood.inference_worker.vision.detectors import open_detector
from roommood.inference_worker.vision.end_to_end import EndToEndDetector
from roommood.inference_worker.vision.faces import Detection, FaceDetector
from roommood.inference_worker.vision.opencv import Picture, cv2, gray, resize
from roommood.inference_worker.vision.yunet import YuNetDetector
from roommood.shared.errors import ModelError
from tests.inference_worker.pictures import astronaut, grace_hopper, plain
from tests.inference_worker.tiny_models import expression_metadata, face_metadata
from tests.inference_worker.vision.yunet_twin import yunet_twin

BYTES = {"channels": 1, "colour": "gray", "mean": [0.0], "std": [1.0]}


@cache
def pictures() -> list[Picture]:
    return list(_pictures())


def _pictures() -> Iterator[Picture]:
    """Photographs in colour and grey, of many sizes, also such as are no multiple of 32."""
    yield from scenes(3, people=5)
    for portrait in (astronaut(), grace_hopper()):
        yield portrait
        yield gray(portrait)
        yield resize(portrait, 150, 200)
        yield np.asarray(cv2.rotate(portrait, cv2.ROTATE_90_CLOCKWISE), np.uint8)
    yield plain(31, 17, 90)


def numbers(faces: list[Detection]) -> list[list[float]]:
    return [
        [d.score, d.x, d.y, d.width, d.height, *(xy for point in d.landmarks or () for xy in point)]
        for d in faces
    ]


@pytest.mark.parametrize("input_size", [640, 320])
@pytest.mark.parametrize("threshold", [None, 0.1])
def test_its_faces_are_those_of_the_workers_own_decoding(
    tmp_path: Path, input_size: int, threshold: float | None
) -> None:
    options: dict[str, Any] = {"input_size": input_size, "score_threshold": threshold}
    own = open_detector("", **options)
    twin = open_detector(str(yunet_twin(SHIPPED_FACE, tmp_path / "twin.onnx")), **options)
    assert (type(own), type(twin)) == (EndToEndDetector, YuNetDetector)
    count = 0
    for picture in pictures():
        faces, theirs = own.detect(picture), twin.detect(picture)
        assert [face.certain for face in faces] == [face.certain for face in theirs]
        np.testing.assert_allclose(numbers(faces), numbers(theirs), rtol=1e-5, atol=1e-4)
        count += len(faces)
    assert count > 15


def test_a_picture_of_nobody_has_no_faces() -> None:
    assert open_detector().detect(plain(640, 480, 127)) == []


def empty_tensors(model: onnx.ModelProto) -> list[str]:
    """Which of all its tensors are empty for a picture of nobody, none of its nodes joined."""
    made = [name for node in model.graph.node for name in node.output]
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in made)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    bounds = {"score_threshold": 0.4, "nms_iou": 0.3}
    numbers = {name: np.array([bound], np.float32) for name, bound in bounds.items()}
    tensors = session.run(made, {"picture": np.full((1, 1, 96, 128), 127, np.uint8), **numbers})
    return [name for name, tensor in zip(made, tensors, strict=True) if not tensor.size]


def test_a_picture_of_nobody_makes_no_tensor_of_the_shipped_file_empty() -> None:
    assert empty_tensors(onnx.load(str(SHIPPED_FACE))) == []


def test_without_the_cell_that_is_always_likely_many_tensors_would_be_empty() -> None:
    model = onnx.load(str(SHIPPED_FACE))
    cell = next(weight for weight in model.graph.initializer if list(weight.dims) == [15, 1])
    cell.CopyFrom(numpy_helper.from_array(np.full((15, 1), -30, np.float32), cell.name))
    assert len(empty_tensors(model)) > 10


def test_a_row_below_the_threshold_is_no_face(tmp_path: Path) -> None:
    contract = face_metadata(input=BYTES, output="faces")
    rows = [[0.9, 50, 40, 20, 10], [0.0] * 5]
    file = end_to_end(tmp_path / "f.onnx", contract, faces=rows)
    assert [face.score for face in opened(file).detect(plain(640, 480))] == [pytest.approx(0.9)]


def end_to_end(
    path: Path,
    metadata: dict[str, str],
    *,
    faces: Any = (),
    bounded: bool = True,
    kind: type = np.float32,
    shape: Any = "as it is",
) -> Path:
    """A file whose `faces` are constant, and of a `shape` that it may not tell (None)."""
    inputs = [helper.make_tensor_value_info("picture", TensorProto.UINT8, [1, 1, "h", "w"])]
    bounds = ("score_threshold", "nms_iou") if bounded else ()
    inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in bounds]
    rows: Any = np.asarray(faces, kind)
    of = helper.np_dtype_to_tensor_dtype(rows.dtype)
    declared = shape and [None, *rows.shape[1:]] if rows.ndim > 1 else shape and list(rows.shape)
    graph = helper.make_graph(
        [helper.make_node("Identity", ["rows"], ["faces"])],
        "face",
        inputs,
        [helper.make_tensor_value_info("faces", of, declared)],
        [numpy_helper.from_array(rows, "rows")],
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, ir_version=8, opset_imports=[opset])
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


def opened(file: Path, **options: Any) -> FaceDetector:
    return open_detector(str(file), **options)


def test_five_columns_are_boxes_without_landmarks_given_by_their_middle(tmp_path: Path) -> None:
    contract = face_metadata(input=BYTES, output="faces")
    file = end_to_end(tmp_path / "f.onnx", contract, faces=[[0.9, 50, 40, 20, 10]])
    (face,) = opened(file, input_size=320).detect(plain(640, 480))
    assert numbers([face]) == [pytest.approx([0.9, 80, 70, 40, 20])]
    assert face.landmarks is None


BOX = [0.9, 50, 40, 20, 10]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ([0.9, np.nan, 40, 20, 10], "not numbers"),
        ([0.9, 50, 40, np.inf, 10], "not numbers"),
        ([*BOX, *[np.nan] * 10], "not numbers"),
        ([0.9, 50, 40, -20, 10], "boxes without width or height"),
        ([0.9, 50, 40, -20, -10], "boxes without width or height"),
        ([0.9, 50, 40, 0, 0], "boxes without width or height"),
        ([0.9, 0.5, 0.4, 0.2, 0.1], "a box of 0.2x0.1: due are .* in pixels"),
        ([98, 50, 40, 20, 10], "a score of 98 and .*: due are probabilities"),
    ],
)
def test_what_is_no_box_of_a_face_is_an_error_never_a_face(
    tmp_path: Path, row: list[float], why: str
) -> None:
    file = end_to_end(tmp_path / "f.onnx", face_metadata(input=BYTES, output="faces"), faces=[row])
    detector = opened(file)
    with pytest.raises(ModelError, match=why):
        detector.detect(plain(640, 480))


@pytest.mark.parametrize("rows", [0.9, BOX, [[BOX]]])
def test_faces_of_another_number_of_dimensions_are_refused(tmp_path: Path, rows: Any) -> None:
    contract = face_metadata(input=BYTES, output="faces")
    file = end_to_end(tmp_path / "f.onnx", contract, faces=rows)
    with pytest.raises(ModelError, match="no output faces of two dimensions"):
        opened(file).detect(plain(640, 480))
    untold = end_to_end(tmp_path / "g.onnx", contract, faces=rows, shape=None)
    with pytest.raises(ModelError, match="no output faces of two dimensions"):
        opened(untold).detect(plain(640, 480))


@pytest.mark.parametrize("kind", [np.int64, np.float64, np.float16])
def test_faces_are_floats_of_whatever_size(tmp_path: Path, kind: type) -> None:
    contract = face_metadata(input=BYTES, output="faces")
    file = end_to_end(tmp_path / "f.onnx", contract, faces=[BOX], kind=kind)
    if kind is np.int64:
        with pytest.raises(ModelError, match=r"faces is tensor\(int64\), not of floats"):
            opened(file).detect(plain(640, 480))
    else:
        (face,) = opened(file).detect(plain(640, 480))
        assert face.score == pytest.approx(0.9, abs=1e-3)


def test_a_box_beside_the_picture_is_no_face(tmp_path: Path) -> None:
    contract = face_metadata(input=BYTES, output="faces")
    rows = [[0.9, 50, 475, 20, 20], [0.9, 50, 500, 20, 20], [0.9, -50, 40, 20, 20]]
    file = end_to_end(tmp_path / "f.onnx", contract, faces=rows)
    assert [face.y for face in opened(file).detect(plain(640, 480))] == [465]


def test_of_thousands_of_faces_the_best_are_compared(tmp_path: Path) -> None:
    contract = face_metadata(input=BYTES, output="faces")
    rows = [[0.9, x, y, 4, 4] for x in range(4, 640, 5) for y in range(4, 480, 5)]
    file = end_to_end(tmp_path / "f.onnx", contract, faces=rows)
    assert len(opened(file).detect(plain(640, 480))) == 1000


@pytest.mark.parametrize("kind", ["weights", "bias"])
def test_numbers_that_are_none_are_an_error_never_no_faces(tmp_path: Path, kind: str) -> None:
    model = onnx.load(str(SHIPPED_FACE))
    names = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type == "Cast"}
    heads = [n for n in model.graph.node if n.op_type == "Conv"][-1]
    stored = {weight.name: weight for weight in model.graph.initializer}
    damaged = stored[names[heads.input[1 if kind == "weights" else 2]]]
    values = numpy_helper.to_array(damaged).copy()
    values[-1] = np.nan
    damaged.CopyFrom(numpy_helper.from_array(values, damaged.name))
    onnx.save(model, str(tmp_path / "f.onnx"))
    detector = opened(tmp_path / "f.onnx", score_threshold=0.01)
    with pytest.raises(ModelError, match="not numbers: the file is damaged"):
        detector.detect(astronaut())
    with pytest.raises(ModelError, match="self-test gives nan"):
        detector.self_test()


@pytest.mark.parametrize(
    ("changes", "bounded", "columns", "why"),
    [
        ({}, False, 15, "has the inputs score_threshold and nms_iou"),
        ({}, True, 4, "no output faces of two dimensions and 15 columns, or 5"),
        ({"input": BYTES | {"std": [255.0]}}, True, 15, "bytes, which are not scaled"),
        ({"output": "boxes"}, True, 15, "output"),
        ({"output": "probabilities"}, True, 15, "beside its first input it has nms_iou, score_"),
    ],
)
def test_what_is_not_as_its_contract_says_is_refused_at_load(
    tmp_path: Path, changes: dict[str, Any], bounded: bool, columns: int, why: str
) -> None:
    contract = face_metadata(**({"input": BYTES, "output": "faces"} | changes))
    faces = np.zeros((1, columns))
    file = end_to_end(tmp_path / "f.onnx", contract, faces=faces, bounded=bounded)
    with pytest.raises(ModelError, match=why):
        opened(file)


def test_a_classifier_that_takes_bytes_is_refused(tmp_path: Path) -> None:
    from roommood.inference_worker.models.files import load_expression

    file = end_to_end(tmp_path / "f.onnx", expression_metadata(), faces=np.zeros((1, 8)))
    with pytest.raises(ModelError, match="a classifier's is due as float32"):
        load_expression(file)
