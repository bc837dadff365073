"""Stores weights in half precision, which halves the file."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto
from onnx.helper import make_node

from mobilenet.onnx.graph import Array, Graph


def with_half_weights(graph: Graph) -> Graph:
    """The graph with float16 weights of convolutions and classifier, each cast to float32.

    Runtimes cast constants once, when they load the file, and compute in float32. Computing in half
    precision would need kernels that few CPUs have. Vectors stay in float32: they are small, and
    biases with a folded BatchNorm need the precision.
    """
    halved = {name for name, array in graph.constants.items() if _is_weight(array)}
    casts = [
        make_node("Cast", [_stored(name)], [name], name=f"{name}_cast", to=TensorProto.FLOAT)
        for name in graph.constants
        if name in halved
    ]
    constants = {
        _stored(name) if name in halved else name: _half(array) if name in halved else array
        for name, array in graph.constants.items()
    }
    return Graph((*casts, *graph.nodes), constants, graph.input, graph.output)


def _is_weight(array: Array) -> bool:
    return array.dtype.kind == "f" and array.ndim > 1 and array.size > 3


def _stored(name: str) -> str:
    return f"{name}_half"


def _half(array: Array) -> Array:
    if array.dtype == np.float64:  # the exact graph, in which nothing is rounded
        return array
    with np.errstate(over="ignore"):  # the writer refuses infinities, by name
        return array.astype(np.float16)
