"""A detector that decodes by itself, turned back into one with YuNet's outputs: the same net, whose
boxes the worker decodes."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT
STRIDES = (8, 16, 32)


def yunet_twin(file: Path, path: Path) -> Path:
    """Writes it; takes away all that follows the maps (1, 15, h, w) of the three heads."""
    model = onnx.load(str(file))
    body = model.graph
    maps = _maps(body)
    end = next(
        place
        for place, node in enumerate(body.node)
        if node.input[0] == maps[0] and node.op_type == "Reshape"
    )
    nodes = list(body.node)[:end]
    nodes[nodes.index(next(n for n in nodes if n.input[0] == "picture"))].attribute[0].i = FLOAT
    constants = [
        numpy_helper.from_array(np.array([1, -1, 15], np.int64), "rows"),
        numpy_helper.from_array(np.array([1, 4, 10], np.int64), "kinds"),
    ]
    outputs = []
    for stride, name in zip(STRIDES, maps, strict=True):
        names = [f"{kind}_{stride}" for kind in ("logit", "bbox", "kps")]
        nodes += [
            helper.make_node("Transpose", [name], [f"upright_{stride}"], perm=[0, 2, 3, 1]),
            helper.make_node("Reshape", [f"upright_{stride}", "rows"], [f"flat_{stride}"]),
            helper.make_node("Split", [f"flat_{stride}", "kinds"], names, axis=2),
            helper.make_node("Sigmoid", names[:1], [f"cls_{stride}"]),
        ]
        widths = {f"cls_{stride}": 1, names[1]: 4, names[2]: 10}
        outputs += [
            helper.make_tensor_value_info(kind, FLOAT, [1, None, width])
            for kind, width in widths.items()
        ]
    picture = helper.make_tensor_value_info("picture", FLOAT, [1, 1, "H", "W"])
    weights = [*body.initializer, *constants]
    twin = helper.make_model(
        helper.make_graph(nodes, "twin", [picture], outputs, weights),
        ir_version=model.ir_version,
        opset_imports=model.opset_import,
    )
    entries = {entry.key: entry.value for entry in model.metadata_props}
    kept = {k: v for k, v in entries.items() if k not in ("roommood.output", "roommood.selftest")}
    helper.set_model_props(twin, kept)
    onnx.save(twin, str(path))
    return path


def _maps(body: onnx.GraphProto) -> list[str]:
    shapes = {
        weight.name
        for weight in body.initializer
        if numpy_helper.to_array(weight).tolist() == [15, -1]
    }
    reshapes = [n for n in body.node if n.op_type == "Reshape" and n.input[1] in shapes]
    return [node.input[0] for node in reshapes]
