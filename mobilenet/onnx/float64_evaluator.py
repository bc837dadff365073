"""Computes an exported graph node by node in double precision, with NumPy.

No runtime has these operators in double precision. A node may have only the attributes that the
package writes, with the values that it writes; everything else is an error. Definitions:
https://github.com/onnx/onnx, docs/Operators.md.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper
from onnx.helper import get_attribute_value

Doubles = npt.NDArray[np.float64]
Inputs = Sequence[Any]
Attributes = Mapping[str, Any]


def evaluate(model: ModelProto, constants: Mapping[str, Doubles], data: Doubles) -> Doubles:
    """The output of `model` for `data` `(N, 3, H, W)`, with `constants` in place of its own.

    Raises:
        ValueError: A node cannot be computed.
    """
    values = {tensor.name: _double(tensor) for tensor in model.graph.initializer}
    (source,) = {port.name for port in model.graph.input} - values.keys()
    values.update({**constants, source: data})
    for node in model.graph.node:
        values[node.output[0]] = _computed(node, values)
    output: Doubles = values[model.graph.output[0].name]
    return output


def _double(tensor: TensorProto) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = numpy_helper.to_array(tensor)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _computed(node: NodeProto, values: Mapping[str, Any]) -> Any:
    attributes = {each.name: get_attribute_value(each) for each in node.attribute}
    try:
        known, compute = _OPERATORS[node.op_type]
        unknown = attributes.keys() - known.split()
        if unknown:
            raise ValueError(f"unknown attributes {sorted(unknown)}")
        return compute([values[name] for name in node.input], attributes)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ValueError(f"the node {node.op_type} '{node.name}': {error}") from error


def _expect(attributes: Attributes, name: str, *right: Any) -> None:
    value = attributes.get(name, right[0])
    if value not in right:
        raise ValueError(f"{name} is {value}")


def _conv(inputs: Inputs, attributes: Attributes) -> Doubles:
    x, weight, *bias = inputs
    images, channels = x.shape[:2]
    kernel, strides, group = weight.shape[2:], attributes["strides"], attributes["group"]
    _expect(attributes, "kernel_shape", list(kernel))
    _expect(attributes, "dilations", [1, 1])
    if any(stride > size for stride, size in zip(strides, x.shape[2:])):
        raise ValueError(f"strides are {strides} on {x.shape}")
    top, left, bottom, right = attributes["pads"]
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    height, width = (
        (whole - own) // stride + 1 for whole, own, stride in zip(padded.shape[2:], kernel, strides)
    )
    kernels = weight.reshape(group, -1, channels // group, *kernel)
    y: Any = 0.0
    for i, j in itertools.product(*map(range, kernel)):
        rows = slice(i, i + strides[0] * height, strides[0])
        columns = slice(j, j + strides[1] * width, strides[1])
        seen = padded[:, :, rows, columns].reshape(images, group, channels // group, -1)
        y = y + np.matmul(kernels[..., i, j], seen)
    y = y.reshape(images, -1, height, width)
    return np.asarray(y + bias[0][:, None, None] if bias else y)


def _batch_normalization(inputs: Inputs, attributes: Attributes) -> Doubles:
    _expect(attributes, "spatial", 1)
    x, gamma, beta, mean, var = (np.asarray(each) for each in inputs)
    slope = gamma / np.sqrt(var + attributes["epsilon"])
    return np.asarray(x * slope[:, None, None] + (beta - mean * slope)[:, None, None])


def _clip(inputs: Inputs, attributes: Attributes) -> Doubles:
    # The limits are attributes up to opset 10 and inputs from 11 on.
    x, *limits = inputs
    low, high = limits or (attributes["min"], attributes["max"])
    return np.asarray(np.clip(x, float(low), float(high)))


def _gemm(inputs: Inputs, attributes: Attributes) -> Doubles:
    _expect(attributes, "transB", 0, 1)
    x, weight, bias = inputs
    return np.asarray(x @ (weight.T if attributes.get("transB", 0) else weight) + bias)


def _flatten(inputs: Inputs, attributes: Attributes) -> Doubles:
    (x,) = inputs
    return np.asarray(x.reshape(math.prod(x.shape[: attributes.get("axis", 1)]), -1))


def _reshape(inputs: Inputs, _: Attributes) -> Doubles:
    x, shape = inputs
    return np.asarray(x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(shape)]))


def _softmax(inputs: Inputs, attributes: Attributes) -> Doubles:
    _expect(attributes, "axis", 1, -1)
    (x,) = inputs
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _cast(inputs: Inputs, attributes: Attributes) -> Doubles:
    _expect(attributes, "to", TensorProto.FLOAT)
    return np.asarray(inputs[0])


# The attributes that each operator may have, and the function that computes it.
_OPERATORS: Mapping[str, tuple[str, Callable[[Inputs, Attributes], Any]]] = {
    "Add": ("", lambda inputs, _: inputs[0] + inputs[1]),
    "BatchNormalization": ("epsilon momentum spatial", _batch_normalization),
    "Cast": ("to", _cast),
    "Clip": ("min max", _clip),
    "Constant": ("value", lambda _, attributes: _double(attributes["value"])),
    "Conv": ("dilations group kernel_shape pads strides", _conv),
    "Flatten": ("axis", _flatten),
    "Gemm": ("transB", _gemm),
    "GlobalAveragePool": ("", lambda inputs, _: inputs[0].mean(axis=(2, 3), keepdims=True)),
    "Mul": ("", lambda inputs, _: inputs[0] * inputs[1]),
    "Relu": ("", lambda inputs, _: np.maximum(inputs[0], 0)),
    "Reshape": ("", _reshape),
    "Softmax": ("axis", _softmax),
    "Sub": ("", lambda inputs, _: inputs[0] - inputs[1]),
}
