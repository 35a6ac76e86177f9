"""An ONNX graph as it is written, node by node."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from roommood.training.face.data import Floats


@dataclass
class Graph:
    """Nodes and weights as they are added; the names that it makes begin with `prefix`."""

    prefix: str = ""
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)

    def node(
        self, kind: str, *inputs: str, outputs: tuple[str, ...] = (), **attributes: Any
    ) -> str:
        """Add a node; the name of its first output."""
        names = outputs or (f"{self.prefix}t{len(self.nodes)}",)
        self.nodes.append(helper.make_node(kind, list(inputs), list(names), **attributes))
        return names[0]

    def half(self, values: Floats) -> str:
        """Store a weight in 16 bits; the name of its 32-bit copy. OverflowError where they cannot
        hold it."""
        name = f"{self.prefix}w{len(self.weights)}"
        if not np.abs(values).max(initial=0.0) <= np.finfo(np.float16).max:
            raise OverflowError(
                f"a weight of {values.shape} reaches {np.abs(values).max():.3g}, which fp16 cannot"
                " hold: has training diverged?"
            )
        self.weights.append(numpy_helper.from_array(values.astype(np.float16), name))
        return self.node("Cast", name, to=TensorProto.FLOAT)

    def constant(self, values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
        """Store a small constant as it is."""
        name = f"{self.prefix}w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name
