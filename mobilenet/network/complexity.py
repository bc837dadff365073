"""Parameters, multiply-adds and activations of a network, read from its graph."""

from __future__ import annotations

import json
import math
from typing import NamedTuple, Union

import mxnet as mx

_WEIGHTED = ("Convolution", "FullyConnected")
_UNTRAINED = ("_running_mean", "_running_var")


class Complexity(NamedTuple):
    """What one image costs."""

    num_parameters: int
    """Trainable ones."""
    multiply_adds: int
    """Of convolutions and the classifier, for one image, as papers count them."""
    activations: int
    """Values that convolutions and the classifier put out for one image."""


def complexity(symbol: mx.sym.Symbol, resolution: Union[int, tuple[int, int]]) -> Complexity:
    """The cost of the plain graph `symbol` (input `data`) for an image of the given resolution.

    `resolution` is height and width in pixels, one number if they are the same.

    Sandler et al. and the tables of its reimplementations count a multiply-add once, and leave out
    BatchNorm, which inference folds into the convolutions.
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
    trained = sum(math.prod(s) for name, s in arguments.items() if not name.endswith(_UNTRAINED))
    return Complexity(trained, multiply_adds, activations)
