"""Gives a graph the names and the last node of the ONNX model zoo's mobilenetv2-7.onnx.

Third-party code relies on these names, for instance Microsoft's DirectML samples and N2D2. They are
Gluon's names for the layers of its own MobileNet v2.
"""

from __future__ import annotations

import re
from typing import Optional

import numpy as np
from onnx.helper import make_node

from mobilenet.errors import UserError
from mobilenet.onnx.graph import Graph, renamed

OUTPUT = "mobilenetv20_output_flatten0_reshape0"
_SHAPE = "reshape_attr_tensor"
_LAYER = re.compile(
    r"(?:(?P<block>stage\d+_block\d+)_)?(?P<part>stem|expand|depthwise|project|head)_"
    r"(?P<kind>conv|norm|relu6?)_(?P<rest>\w+)"
)
_SHORTCUT = re.compile(r"(?P<block>stage\d+_block\d+)_add")
_KINDS = {"conv": "conv", "norm": "batchnorm", "relu": "relu", "relu6": "relu"}
_PARAMETERS = ("weight", "gamma", "beta", "running_mean", "running_var")
_OTHERS = {
    "pool_fwd": "mobilenetv20_features_pool0_fwd",
    "classifier_fwd": "mobilenetv20_output_pred_fwd",
    "classifier_weight": "mobilenetv20_output_pred_weight",
}


def in_origin_form(graph: Graph, batch: Optional[int], classes: int) -> Graph:
    """The graph with the names of the model zoo's file, ending in Reshape to `(batch, classes)`.

    `batch` is None for any batch size.

    Raises:
        UserError: The classifier is not a convolution followed by Flatten, as in that file.
    """
    *nodes, last = graph.nodes
    if last.op_type != "Flatten":
        raise UserError(
            "the form 'zoo' needs a network whose classifier is a convolution (dialect 'origin' "
            "or 'gluoncv'); write this one in the form 'portable'"
        )
    nodes.append(make_node("Reshape", [last.input[0], _SHAPE], [OUTPUT], name=OUTPUT))
    shape = np.array([batch, classes] if batch else [0, -1], np.int64)
    reshaped = Graph(tuple(nodes), {**graph.constants, _SHAPE: shape}, graph.input, OUTPUT)
    return renamed(reshaped, _Namer(reshaped))


class _Namer:
    """Numbers the blocks of the network, and the layers of each block, as Gluon does."""

    def __init__(self, graph: Graph) -> None:
        self._parts: dict[Optional[str], list[str]] = {}
        for node in graph.nodes:
            layer = _LAYER.fullmatch(node.name)
            if layer:
                parts = self._parts.setdefault(layer["block"], [])
                if layer["part"] not in parts:
                    parts.append(layer["part"])

    def __call__(self, name: str) -> str:
        shortcut, layer = _SHORTCUT.fullmatch(name), _LAYER.fullmatch(name)
        if shortcut:
            return f"{self._block(shortcut['block'])}elemwise_add0"
        if not layer:
            return _OTHERS.get(name, name)
        number = self._parts[layer["block"]].index(layer["part"])
        rest = layer["rest"] if layer["rest"] in _PARAMETERS else "fwd"
        return f"{self._block(layer['block'])}{_KINDS[layer['kind']]}{number}_{rest}"

    def _block(self, block: Optional[str]) -> str:
        if block is None:
            return "mobilenetv20_features_"
        blocks = [name for name in self._parts if name is not None]
        return f"mobilenetv20_features_linearbottleneck{blocks.index(block)}_"
