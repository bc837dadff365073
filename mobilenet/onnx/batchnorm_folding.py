"""Folds BatchNorm into the convolution before it, so that no runtime has to."""

from __future__ import annotations

from collections import Counter
from typing import Mapping

import numpy as np
from onnx import NodeProto
from onnx.helper import get_attribute_value

from mobilenet.onnx.graph import Array, Graph, rewired


def fold_batch_norm(graph: Graph) -> Graph:
    """The graph with each BatchNormalization folded into the Conv whose output only it reads.

    The scale `gamma / sqrt(var + epsilon)` and the shift are computed in float64, so that weights
    are rounded only once (Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", CVPR 2018, section 3.2).
    """
    reads = Counter(name for node in graph.nodes for name in node.input)
    conv_of = {
        node.output[0]: node
        for node in graph.nodes
        if node.op_type == "Conv" and reads[node.output[0]] == reads[node.input[1]] == 1
    }
    folded: dict[str, NodeProto] = {}
    constants: dict[str, Array] = {}
    for norm in graph.nodes:
        conv = conv_of.get(norm.input[0])
        if norm.op_type == "BatchNormalization" and conv is not None:
            bias = f"{conv.input[1]}_folded_bias"
            inputs = [conv.input[0], conv.input[1], bias]
            folded[norm.output[0]] = rewired(conv, inputs, norm.output[0])
            weights = _folded_weights(conv, norm, graph.constants)
            constants.update(zip(inputs[1:], weights))
    gone = {id(conv_of[norm.input[0]]) for norm in graph.nodes if norm.output[0] in folded}
    nodes = tuple(folded.get(n.output[0], n) for n in graph.nodes if id(n) not in gone)
    read = {name for node in nodes for name in node.input}
    kept = {name: array for name, array in graph.constants.items() if name in read}
    return Graph(nodes, {**kept, **constants}, graph.input, graph.output)


def _folded_weights(
    conv: NodeProto, norm: NodeProto, constants: Mapping[str, Array]
) -> tuple[Array, Array]:
    gamma, beta, mean, var = (constants[name].astype(np.float64) for name in norm.input[1:])
    epsilon = next(get_attribute_value(a) for a in norm.attribute if a.name == "epsilon")
    with np.errstate(invalid="ignore", divide="ignore"):  # the verification reports NaN
        scale = gamma / np.sqrt(var + epsilon)
    dtype = constants[conv.input[1]].dtype
    weight = constants[conv.input[1]].astype(np.float64)
    bias = constants[conv.input[2]].astype(np.float64) if len(conv.input) == 3 else 0.0
    folded = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    return folded.astype(dtype), (beta + (bias - mean) * scale).astype(dtype)
