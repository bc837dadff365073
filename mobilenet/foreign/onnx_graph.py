"""Reads the arrays of a MobileNet v2 from an ONNX graph of any program.

Layers are recognised by their order, whatever their names are. BatchNorm may be folded into the
convolutions or not. Comparing outputs shows later whether the graph is a MobileNet v2 at all.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Optional

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import GraphProto, NodeProto, TensorProto, numpy_helper
from onnx.helper import get_attribute_value

from mobilenet.errors import WeightsError
from mobilenet.foreign.architecture_detection import repeats_of
from mobilenet.foreign.stored_arrays import Stored
from mobilenet.network.architecture import EPSILON
from mobilenet.network.weights import NORM, first_few, layer_names

# A file of width 10, the largest that a configuration may have, has 0.93 GB.
_MAX_BYTES = 1 << 30
# The operators of MobileNet v2, with pre- and postprocessing, as MXNet, PyTorch, TensorFlow and
# this package export it.
_OPERATORS = {
    *("Conv", "BatchNormalization", "Clip", "Relu", "Add", "GlobalAveragePool", "ReduceMean"),
    *("Flatten", "Reshape", "Squeeze", "Gemm", "Softmax", "Dropout", "Identity", "Constant"),
    *("Cast", "Sub", "Mul", "Shape", "Gather", "Unsqueeze", "Concat"),
}
_LEAST_INPUTS = {"Conv": 2, "Gemm": 2, "BatchNormalization": 5}
# Largest attributes of its convolutions; TensorFlow pads by up to 2 on one side. With larger ones
# the images inside the network could fill the memory.
_MOST = {"kernel_shape": 3, "strides": 2, "pads": 2, "dilations": 1}


class GraphWeights(NamedTuple):
    """The weights in a graph, and what the graph shows about the network."""

    arrays: dict[str, Stored]
    """By the package's names."""
    activation: str
    """`relu6` or `relu`."""
    gives_probabilities: bool
    has_folded_norm: bool


def read_graph(path: Path) -> GraphWeights:
    """The arrays of the ONNX file at `path`.

    Raises:
        WeightsError: The file cannot be read, keeps its arrays elsewhere, or has other layers.
    """
    graph = _load(path)
    operators = {node.op_type for node in graph.node}
    strange = sorted(operators - _OPERATORS)
    if strange:
        raise WeightsError(f"{path}: not a MobileNet v2: it has the operators {first_few(strange)}")
    try:
        _check_nodes(graph)
        arrays = _layers(graph, _constants(graph))
    except KeyError as error:
        raise WeightsError(
            f"{path}: not the weights of a layer: {first_few([error.args[0]])}"
        ) from error
    except ValueError as error:
        raise WeightsError(f"{path}: not a MobileNet v2: {error}") from error
    return GraphWeights(
        arrays,
        "relu6" if "Clip" in operators else "relu",
        "Softmax" in operators,
        "BatchNormalization" not in operators,
    )


def _load(path: Path) -> GraphProto:
    size = path.stat().st_size
    if size > _MAX_BYTES:
        raise WeightsError(
            f"{path}: {size:,} bytes are more than any MobileNet v2 has (at most {_MAX_BYTES:,})"
        )
    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except DecodeError as error:
        raise WeightsError(f"{path}: not an ONNX model, or damaged") from error
    tensors = [*graph.initializer, *(a.t for node in graph.node for a in node.attribute)]
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in tensors):
        raise WeightsError(f"{path}: keeps its arrays in other files; save it as a single file")
    return graph


def _check_nodes(graph: GraphProto) -> None:
    """Raises ValueError if a node lacks inputs or has attributes that no MobileNet v2 has."""
    for node in graph.node:
        is_constant = node.op_type == "Constant"
        given = node.attribute if is_constant else node.input
        if not node.output or len(given) < _LEAST_INPUTS.get(node.op_type, 1):
            raise ValueError(f"a node {node.op_type} lacks inputs or its output")
        if node.op_type == "Conv":
            _check_convolution(node)


def _check_convolution(node: NodeProto) -> None:
    for attribute in node.attribute:
        if max(attribute.ints, default=0) > _MOST.get(attribute.name, math.inf):
            raise ValueError(f"a convolution has {attribute.name} {list(attribute.ints)}")


def _constants(graph: GraphProto) -> dict[str, Stored]:
    """The constant tensors by name; those in half precision are followed by a Cast."""
    constants = {tensor.name: _stored(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].HasField("t"):
            constants[node.output[0]] = _stored(node.attribute[0].t)
        elif node.op_type in ("Cast", "Identity") and node.input[0] in constants:
            constants[node.output[0]] = constants[node.input[0]]
    return constants


def _stored(tensor: TensorProto) -> Stored:
    return Stored(tuple(tensor.dims), lambda: np.asarray(numpy_helper.to_array(tensor)))


def _layers(graph: GraphProto, constants: Mapping[str, Stored]) -> dict[str, Stored]:
    """The arrays by the package's names.

    Raises:
        KeyError: An array is not a constant.
        ValueError: The number of layers is wrong.
    """
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    dense = [node for node in graph.node if node.op_type == "Gemm"]
    # Without an expansion in the first block, the second convolution is its depthwise one.
    second = constants[convolutions[1].input[1]].shape if len(convolutions) > 1 else ()
    repeats = repeats_of(num_blocks=(len(convolutions) - 1) // 3)
    names = layer_names(len(second) == 4 and second[1] != 1, repeats)
    if [len(convolutions), len(dense)] not in ([len(names) + 1, 0], [len(names), 1]):
        raise ValueError(
            f"it has {len(convolutions)} convolutions and {len(dense)} dense layers; {len(names)}"
            " and the classifier would be right"
        )
    norms = {node.input[0]: node for node in graph.node if node.op_type == "BatchNormalization"}
    arrays = {}
    for name, convolution in zip(names, convolutions):
        arrays.update(_unit(name, convolution, norms.get(convolution.output[0]), constants))
    return {**arrays, **_classifier([*convolutions, *dense][-1], constants)}


def _unit(
    name: str, convolution: NodeProto, norm: Optional[NodeProto], constants: Mapping[str, Stored]
) -> dict[str, Stored]:
    """The kernel and the BatchNorm of a layer; of a folded BatchNorm only the shift is left."""
    kernel, *bias = (constants[given] for given in convolution.input[1:])
    shape = kernel.shape[:1]
    if norm is None:
        shift = bias[0] if bias else _full(shape, 0.0)
        values = [_full(shape, 1.0), shift, _full(shape, 0.0), _full(shape, 1 - EPSILON)]
    else:
        gamma, beta, mean, variance = (constants[given] for given in norm.input[1:5])
        padding = _attribute(norm, "epsilon", 1e-5) - EPSILON
        shifted = mean if not bias else mean.changed(shape, lambda a: a - bias[0].read())
        padded = variance.changed(shape, lambda a: a.astype(np.float64) + padding)
        values = [gamma, beta, shifted, padded]
    return {
        f"{name}_conv_weight": kernel,
        **{f"{name}_norm_{each}": value for each, value in zip(NORM, values)},
    }


def _full(shape: tuple[int, ...], value: float) -> Stored:
    return Stored(shape, lambda: np.full(shape, value))


def _classifier(node: NodeProto, constants: Mapping[str, Stored]) -> dict[str, Stored]:
    weight, *bias = (constants[name] for name in node.input[1:])
    if node.op_type == "Gemm" and len(weight.shape) == 2 and not _attribute(node, "transB", 0):
        weight = weight.transposed((1, 0))
    return {"classifier_weight": weight, **({"classifier_bias": bias[0]} if bias else {})}


def _attribute(node: NodeProto, name: str, default: Any) -> Any:
    found = (get_attribute_value(a) for a in node.attribute if a.name == name)
    return next(found, default)
