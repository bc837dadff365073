"""Adds normalisation of pixels before an exported network, and softmax after it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto
from onnx.helper import make_node

from mobilenet.data.eval_transforms import Normalization
from mobilenet.onnx.graph import Graph, rewired


def with_normalization(graph: Graph, normalization: Normalization, *, is_integer: bool) -> Graph:
    """The graph with pixels of 0 to 255 as its input, in uint8 if `is_integer`, else in float32.

    The mean is not folded into the first convolution: that would be wrong at the borders, where
    the convolution pads the normalised image with zeros.
    """
    dtype = next(array.dtype for array in graph.constants.values() if array.dtype.kind == "f")
    constants = {
        "pixel_mean": _per_channel(255 * np.array(normalization.mean), dtype),
        "pixel_scale": _per_channel(1 / (255 * np.array(normalization.std)), dtype),
    }
    pixels = graph.input
    nodes = []
    if is_integer:
        nodes.append(make_node("Cast", [pixels], ["pixels"], name="pixels", to=TensorProto.FLOAT))
        pixels = "pixels"
    nodes += [
        make_node("Sub", [pixels, "pixel_mean"], ["centred"], name="centred"),
        make_node("Mul", ["centred", "pixel_scale"], ["normalised"], name="normalised"),
    ]
    for node in graph.nodes:
        inputs = ["normalised" if name == graph.input else name for name in node.input]
        nodes.append(rewired(node, inputs, node.output[0]))
    return Graph(tuple(nodes), {**constants, **graph.constants}, graph.input, graph.output)


def _per_channel(values: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    return values.astype(dtype).reshape(1, -1, 1, 1)


def with_softmax(graph: Graph) -> Graph:
    """The graph with probabilities `(N, classes)` as its output instead of logits."""
    softmax = make_node("Softmax", [graph.output], ["softmax"], name="softmax", axis=1)
    return Graph((*graph.nodes, softmax), graph.constants, graph.input, "softmax")
