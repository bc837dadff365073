"""Weights in half precision, for files of half the size."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto
from onnx.helper import make_node

from mobilenet.onnx.graph import Array, Graph


def with_half_weights(graph: Graph) -> Graph:
    """The graph with float16 weights of convolutions and classifier, each behind a Cast to float32.

    Runtimes cast constants once, when they load the file, and then compute as before; half
    precision throughout would need kernels that few CPUs have. Vectors stay: they are small, and
    biases that hold a folded BatchNorm need their precision.
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
    if array.dtype == np.float64:  # of which nothing is rounded
        return array
    with np.errstate(over="ignore"):  # the writer refuses infinities, by name
        return array.astype(np.float16)
