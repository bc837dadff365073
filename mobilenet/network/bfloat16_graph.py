"""Rewrites a network's graph to compute in bfloat16, with parameters and statistics in float32."""

from __future__ import annotations

import json
from typing import Callable

import mxnet as mx

from mobilenet.network.channel_padding import Node

BFLOAT16 = "bfloat16"

# Operators with oneDNN kernels in bfloat16, and how many of their inputs are then in it. The
# parameters of a BatchNorm stay in float32, which is also the type of its sums.
_NUM_CAST_INPUTS = {
    "Convolution": 2,
    "BatchNorm": 1,
    "_contrib_BatchNormWithReLU": 1,
    "elemwise_add": 2,
}


def in_bfloat16(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """The graph `symbol` with its convolutions, and what lies between them, in bfloat16.

    Inputs, parameters and outputs stay in float32, and so do the gradients of the parameters. The
    convolution of the image and the BatchNorm behind it stay in float32 too: oneDNN 2.4 has no fast
    kernels in bfloat16 for three channels, and the fused BatchNorm behind a conversion gets its
    gradient in another layout than it expects, and computes a wrong one.
    """
    nodes = json.loads(symbol.tojson())["nodes"]
    built: list[mx.sym.Symbol] = []
    converted: list[bool] = []
    for node in nodes:
        if node["op"] == "null":
            built.append(mx.sym.var(node["name"], attr=node.get("attrs")))
            converted.append(False)
            continue
        indices = [index for index, *_ in node["inputs"]]
        is_converted = _is_converted(node, nodes, [converted[index] for index in indices])
        num_cast = _NUM_CAST_INPUTS[node["op"]] if is_converted else 0
        inputs = [
            _as_type(built[index][output], converted[index], is_wanted=place < num_cast)
            for place, (index, output, *_) in enumerate(node["inputs"])
        ]
        built.append(
            graph_operator(node["op"])(*inputs, name=node["name"], **node.get("attrs", {}))
        )
        converted.append(is_converted)
    return _as_type(built[-1], converted[-1], is_wanted=False)


def _is_converted(node: Node, nodes: list[Node], are_inputs: list[bool]) -> bool:
    """Whether `node` computes in bfloat16, given which of its inputs do."""
    if node["op"] == "Convolution":
        return bool(nodes[node["inputs"][0][0]]["op"] != "null")
    return node["op"] in _NUM_CAST_INPUTS and any(are_inputs)


def _as_type(value: mx.sym.Symbol, is_bfloat16: bool, is_wanted: bool) -> mx.sym.Symbol:
    if is_bfloat16 == is_wanted:
        return value
    return mx.sym.amp_cast(value, dtype=BFLOAT16 if is_wanted else "float32")


def graph_operator(name: str) -> Callable[..., mx.sym.Symbol]:
    """The function of `mx.sym` that makes the operator `name` of a graph."""
    module = mx.sym._internal if name.startswith("_") else mx.sym
    if name.startswith("_contrib_"):
        module, name = mx.sym.contrib, name[len("_contrib_") :]
    operator: Callable[..., mx.sym.Symbol] = getattr(module, name)
    return operator
