"""What a worker did around the net, as nodes of its graph: bytes of pixels go in, faces come out.

A file with YuNet's outputs becomes one with the input `picture` (1, 1, H, W), grey bytes, and an
inputs `score_threshold` (1) and `nms_iou` (1). Its outputs, in pixels of the picture:

    scores (K, 1), boxes (K, 4), landmarks (K, 10)   of all cells from the threshold on
    faces (S, 15)                                    all three of those that are left, best first

A box is its centre's x and y, its width and height. In a session that knows the picture's size the
grid is a constant, and of all cells only those from the threshold on are ever decoded.

The last row of each is zeros, of no cell: CUDA refuses to sum what is empty, and so may others, and
a picture of nobody would be an error there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper

from roommood.shared.errors import ModelError
from roommood.training.face.nodes import Graph
from roommood.training.face.teacher import STRIDES

OUTPUTS = 15
SCORES, BOXES, LANDMARKS, FACES = "scores", "boxes", "landmarks", "faces"
THRESHOLD, OVERLAP = "score_threshold", "nms_iou"
# As the worker decodes YuNet's outputs (inference_worker/vision/yunet.py).
MOST_FACES = 1000
LARGEST_LOG_SIZE = 8.0
# Of a sigmoid that is 1 in floats.
_CERTAIN_LOGIT = 30.0


def with_decoding(raw: onnx.ModelProto) -> onnx.ModelProto:
    """The model that decodes by itself, of one that `graph.build` made; metadata stay.

    ModelError where its outputs come about in another way.
    """
    model = onnx.ModelProto()
    model.CopyFrom(raw)
    body, graph = model.graph, Graph("d")
    heads = list(_cut_off_heads(body))
    _take_bytes(body, graph)
    graph.nodes += body.node
    rows = _rows(graph, heads)
    graph.node("Gather", rows, _left(graph), outputs=(FACES,))
    _replace(body, graph)
    onnx.checker.check_model(model, full_check=True)
    return model


# The net's side


def _cut_off_heads(body: onnx.GraphProto) -> Iterator[str]:
    """Takes away what orders each head's map (1, 15, h, w) in rows of a cell; the maps' names."""
    by_output = {name: node for node in body.node for name in node.output}
    for stride in STRIDES:
        chain, name = [], f"cls_{stride}"
        for kind in ("Sigmoid", "Split", "Reshape", "Transpose"):
            node = by_output.get(name)
            if node is None or node.op_type != kind:
                raise ModelError(f"cls_{stride} does not come from a {kind}: not one of our nets")
            chain.append(node)
            name = node.input[0]
        for node in chain:
            body.node.remove(node)
        yield name


def _take_bytes(body: onnx.GraphProto, graph: Graph) -> None:
    """The picture's bytes become the floats on which the first convolution works."""
    pixels = graph.node("Cast", body.input[0].name, to=TensorProto.FLOAT)
    for node in body.node:
        for place, name in enumerate(node.input):
            if name == body.input[0].name:
                node.input[place] = pixels


def _replace(body: onnx.GraphProto, graph: Graph) -> None:
    floats = TensorProto.FLOAT
    used = {name for node in graph.nodes for name in node.input}
    weights = [weight for weight in body.initializer if weight.name in used] + graph.weights
    for part in (body.node, body.initializer, body.input, body.output):
        del part[:]
    body.node.extend(graph.nodes)
    body.initializer.extend(weights)
    sides: list[str | int] = [1, 1, "H", "W"]
    body.input.append(helper.make_tensor_value_info("picture", TensorProto.UINT8, sides))
    for name in (THRESHOLD, OVERLAP):
        body.input.append(helper.make_tensor_value_info(name, floats, [1]))
    shapes: Mapping[str, list[str | int]] = {
        FACES: ["S", OUTPUTS],
        SCORES: ["K", 1],
        BOXES: ["K", 4],
        LANDMARKS: ["K", 10],
    }
    for name, shape in shapes.items():
        body.output.append(helper.make_tensor_value_info(name, floats, shape))


# Cells that may be faces


def _rows(graph: Graph, heads: list[str]) -> str:
    """Score, box and landmarks (K, 15) of the cells from the threshold on."""
    flat_shape = graph.constant(np.array([OUTPUTS, -1], np.int64))
    flats = [graph.node("Reshape", head, flat_shape) for head in heads]
    cells = graph.node("Concat", *flats, _always_likely(graph), axis=1)
    scores, likely = _likely(graph, cells)
    raw = graph.node("Transpose", graph.node("Gather", cells, likely, axis=1), perm=[1, 0])
    corner, stride = (graph.node("Gather", grid, likely) for grid in _grids(graph, heads))
    in_cells = graph.node("Add", _in_cells(graph, raw, scores), corner)
    rows = _all_or_none(graph, graph.node("Mul", in_cells, stride))
    _split(graph, rows, 1, 4, 10, names=(SCORES, BOXES, LANDMARKS))
    return rows


def _always_likely(graph: Graph) -> str:
    """A cell that is from any threshold on."""
    cell = np.zeros((OUTPUTS, 1), np.float32)
    cell[0] = _CERTAIN_LOGIT
    return graph.constant(cell)


def _likely(graph: Graph, cells: str) -> tuple[str, str]:
    """The scores (K, 1) from the threshold on, and the numbers (K) of their cells.

    Asked the other way round, so that a score that is no number is among them.
    """
    first = graph.constant(np.array(0, np.int64))
    scores = graph.node("Sigmoid", graph.node("Gather", cells, first, axis=0))
    above = graph.node("Not", graph.node("Less", scores, THRESHOLD))
    likely = graph.node("Gather", graph.node("NonZero", above), first, axis=0)
    column = graph.constant(np.array([1], np.int64))
    return graph.node("Unsqueeze", graph.node("Gather", scores, likely), column), likely


def _in_cells(graph: Graph, raw: str, scores: str) -> str:
    """The net's rows with the score in its place, and sizes instead of their logarithms."""
    names = tuple(f"{raw}_{part}" for part in range(4))
    _, middle, log_size, points = _split(graph, raw, 1, 2, 2, 10, names=names)
    largest = graph.constant(np.array(LARGEST_LOG_SIZE, np.float32))
    size = graph.node("Exp", graph.node("Min", log_size, largest))
    return graph.node("Concat", scores, middle, size, points, axis=1)


def _all_or_none(graph: Graph, rows: str) -> str:
    """The rows; where one number of them is none, all are none: a damaged file must not look as if
    it saw nobody there."""
    zero = graph.constant(np.array(0, np.float32))
    nothing = graph.node("Mul", graph.node("ReduceSum", rows, keepdims=0), zero)
    return graph.node("Add", rows, nothing)


def _grids(graph: Graph, heads: list[str]) -> Iterator[str]:
    """What to add to each cell's row, and by what to multiply it then, (A + 1, 15) each; the cell
    that is always likely becomes zeros."""
    levels = [_level(graph, head, stride) for head, stride in zip(heads, STRIDES, strict=True)]
    nothing = graph.constant(np.zeros((1, OUTPUTS), np.float32))
    for parts in zip(*levels, strict=True):
        yield graph.node("Concat", *parts, nothing, axis=0)


def _level(graph: Graph, head: str, stride: int) -> tuple[str, str]:
    start, step = (graph.constant(np.array(number, np.int64)) for number in (0, 1))
    sides = graph.node("Shape", head, start=2)
    width = graph.node("Gather", sides, step)
    count = graph.node("ReduceProd", sides, keepdims=0)
    numbers = graph.node("Range", start, count, step)
    axis = graph.constant(np.array([1], np.int64))
    column, row = (
        graph.node("Unsqueeze", graph.node(kind, numbers, width), axis) for kind in ("Mod", "Div")
    )
    nowhere = graph.node("Sub", column, column)
    places = [nowhere, column, row, nowhere, nowhere, *[column, row] * 5]
    corner = graph.node("Cast", graph.node("Concat", *places, axis=1), to=TensorProto.FLOAT)
    scale = graph.constant(np.array([1.0, *[stride] * (OUTPUTS - 1)], np.float32))
    nothing = graph.node("Cast", nowhere, to=TensorProto.FLOAT)
    return corner, graph.node("Add", nothing, scale)


# Those that are left


def _left(graph: Graph) -> str:
    """The numbers (S) of the rows that no better one overlaps by more, best first."""
    picture = graph.constant(np.array([0], np.int64))
    boxes = graph.node("Unsqueeze", BOXES, picture)
    scores = graph.node("Reshape", SCORES, graph.constant(np.array([1, 1, -1], np.int64)))
    most = graph.constant(np.array([MOST_FACES], np.int64))
    left = graph.node("NonMaxSuppression", boxes, scores, most, OVERLAP, center_point_box=1)
    return graph.node("Gather", left, graph.constant(np.array(2, np.int64)), axis=1)


def _split(graph: Graph, rows: str, *widths: int, names: tuple[str, ...]) -> tuple[str, ...]:
    graph.node("Split", rows, graph.constant(np.array(widths, np.int64)), outputs=names, axis=1)
    return names
