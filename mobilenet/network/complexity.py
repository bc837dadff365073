"""Parameters, multiply-adds and activations of a network, read from its graph."""

from __future__ import annotations

import json
import math
from typing import NamedTuple, Union

import mxnet as mx

from mobilenet.network.architecture import STATISTICS

_WEIGHTED = ("Convolution", "FullyConnected")


class Complexity(NamedTuple):
    """The size of a network, and what it computes for one image."""

    num_parameters: int
    """Trainable parameters."""
    multiply_adds: int
    """Of the convolutions and the classifier."""
    activations: int
    """Number of values that the convolutions and the classifier put out."""


def complexity(symbol: mx.sym.Symbol, resolution: Union[int, tuple[int, int]]) -> Complexity:
    """The cost of the plain graph `symbol`, whose input is `data`, for one image.

    Counted as in Sandler et al. and in the tables of reimplementations: a multiply-add is one
    operation, and BatchNorm is left out because inference folds it into the convolutions.

    Args:
        symbol: From `graph_forms.symbol_of`.
        resolution: Height and width in pixels, or one number for both.
    """
    size = (resolution, resolution) if isinstance(resolution, int) else resolution
    shape = (1, 3, *size)
    argument_shapes, _, _ = symbol.infer_shape(data=shape)
    arguments = dict(zip(symbol.list_arguments(), argument_shapes))
    del arguments["data"]
    internals = symbol.get_internals()
    _, output_shapes, _ = internals.infer_shape(data=shape)
    outputs = dict(zip(internals.list_outputs(), output_shapes))
    multiply_adds = activations = 0
    nodes = json.loads(symbol.tojson())["nodes"]
    for node in nodes:
        if node["op"] in _WEIGHTED:
            values = math.prod(outputs[f"{node['name']}_output"])
            weight = arguments[nodes[node["inputs"][1][0]]["name"]]
            activations += values
            multiply_adds += values * math.prod(weight[1:])
    trained = sum(math.prod(s) for name, s in arguments.items() if not name.endswith(STATISTICS))
    return Complexity(trained, multiply_adds, activations)
