"""Converts MXNet's operators to ONNX nodes of opset 7.

Opset 7 has Conv-1, BatchNormalization-7, Clip-6, Relu-6, Add-7, GlobalAveragePool-1, Flatten-1,
Gemm-7 and Softmax-1. The limits of Clip are attributes, not inputs. Definitions:
https://github.com/onnx/onnx, docs/Operators.md.
"""

from __future__ import annotations

import ast
import json
from typing import Any, Callable, Mapping, NamedTuple

import mxnet as mx
import numpy as np
from onnx import NodeProto
from onnx.helper import make_node

from mobilenet.errors import UserError
from mobilenet.onnx.graph import Array, Graph


class Operator(NamedTuple):
    """One node of a symbol; `inputs` are names of tensors, and `name` also names its output."""

    type: str
    name: str
    inputs: list[str]
    attributes: Mapping[str, str]

    def get(self, attribute: str, default: Any) -> Any:
        """The value of `attribute`; MXNet writes numbers and tuples as Python literals."""
        text = self.attributes.get(attribute)
        if text is None:
            return default
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return text

    def refuse(self, what: str) -> UserError:
        """The error for an operator that cannot be written because of `what`."""
        return UserError(
            f"the operator {self.type} '{self.name}' cannot be written to ONNX: {what}; supported "
            f"are {', '.join(sorted(_CONVERTERS))}"
        )


class _Converted(NamedTuple):
    nodes: list[NodeProto]
    constants: Mapping[str, Array]


def convert(symbol: mx.sym.Symbol, arrays: Mapping[str, Array]) -> Graph:
    """The graph of `symbol`, which has one output, and one input that is not in `arrays`.

    Raises:
        UserError: An operator, or one of its attributes, is not supported.
    """
    nodes: list[NodeProto] = []
    constants = dict(arrays)
    aliases: dict[str, str] = {}
    for operator in _operators(symbol):
        if operator.type == "Dropout":  # does nothing in inference
            aliases[operator.name] = aliases.get(operator.inputs[0], operator.inputs[0])
            continue
        inputs = [aliases.get(name, name) for name in operator.inputs]
        converted = _convert_operator(operator._replace(inputs=inputs), constants)
        nodes += converted.nodes
        constants.update(converted.constants)
    read = {name for node in nodes for name in node.input}
    (source,) = (name for name in symbol.list_inputs() if name not in arrays)
    used = {name: array for name, array in constants.items() if name in read}
    return Graph(tuple(nodes), used, source, nodes[-1].output[0])


def _operators(symbol: mx.sym.Symbol) -> list[Operator]:
    # JSON is the only public way to a symbol's nodes; they are in topological order.
    nodes = json.loads(symbol.tojson())["nodes"]
    return [
        Operator(
            node["op"],
            node["name"],
            [nodes[source]["name"] for source, *_ in node["inputs"]],
            node.get("attrs", {}),
        )
        for node in nodes
        if node["op"] != "null"
    ]


def _convert_operator(operator: Operator, constants: Mapping[str, Array]) -> _Converted:
    if operator.type not in _CONVERTERS:
        raise operator.refuse("it has no converter")
    return _CONVERTERS[operator.type](operator, constants)


def _node(operator: Operator, onnx_type: str, **attributes: Any) -> _Converted:
    node = make_node(onnx_type, operator.inputs, [operator.name], name=operator.name, **attributes)
    return _Converted([node], {})


def _convolution(operator: Operator, _: Mapping[str, Array]) -> _Converted:
    if operator.get("layout", "NCHW") != "NCHW":
        raise operator.refuse("its layout is not NCHW")
    kernel = operator.get("kernel", ())
    pad = list(operator.get("pad", (0,) * len(kernel)))
    return _node(
        operator,
        "Conv",
        dilations=operator.get("dilate", (1,) * len(kernel)),
        group=operator.get("num_group", 1),
        kernel_shape=kernel,
        pads=pad + pad,
        strides=operator.get("stride", (1,) * len(kernel)),
    )


def _batch_norm(operator: Operator, constants: Mapping[str, Array]) -> _Converted:
    if operator.get("axis", 1) != 1:
        raise operator.refuse("its axis is not 1")
    node = _node(
        operator,
        "BatchNormalization",
        epsilon=operator.get("eps", 1e-3),
        momentum=operator.get("momentum", 0.9),
        # The default, written as in the model zoo's file. MXNet 1.3 to 1.7 wrote 0, which means
        # statistics per pixel, which is not what MXNet computes.
        spatial=1,
    )
    if not operator.get("fix_gamma", True):
        return node
    gamma = operator.inputs[1]
    return node._replace(constants={gamma: np.ones_like(constants[gamma])})


def _clip(operator: Operator, _: Mapping[str, Array]) -> _Converted:
    low, high = float(operator.get("a_min", 0)), float(operator.get("a_max", 0))
    return _node(operator, "Clip", min=low, max=high)


def _activation(operator: Operator, _: Mapping[str, Array]) -> _Converted:
    if operator.get("act_type", "") != "relu":
        raise operator.refuse("its act_type is not relu")
    return _node(operator, "Relu")


def _pooling(operator: Operator, _: Mapping[str, Array]) -> _Converted:
    if operator.get("pool_type", "max") != "avg" or not operator.get("global_pool", False):
        raise operator.refuse("it is not global average pooling")
    return _node(operator, "GlobalAveragePool")


def _fully_connected(operator: Operator, constants: Mapping[str, Array]) -> _Converted:
    if not operator.get("flatten", True):
        raise operator.refuse("its flatten is not True")
    data, weight, *bias = operator.inputs
    new_constants = {}
    if not bias:  # Gemm-7 requires one
        bias = [f"{operator.name}_no_bias"]
        new_constants[bias[0]] = np.zeros(len(constants[weight]), constants[weight].dtype)
    flat = f"{operator.name}_flatten"
    nodes = [
        make_node("Flatten", [data], [flat], name=flat),
        make_node("Gemm", [flat, weight, *bias], [operator.name], name=operator.name, transB=1),
    ]
    return _Converted(nodes, new_constants)


def _softmax(operator: Operator, _: Mapping[str, Array]) -> _Converted:
    if operator.get("axis", -1) not in (-1, 1):
        raise operator.refuse("its axis is not the last")
    return _node(operator, "Softmax", axis=1)


_CONVERTERS: dict[str, Callable[[Operator, Mapping[str, Array]], _Converted]] = {
    "Activation": _activation,
    "BatchNorm": _batch_norm,
    "Convolution": _convolution,
    "Flatten": lambda operator, _: _node(operator, "Flatten"),
    "FullyConnected": _fully_connected,
    "Pooling": _pooling,
    "clip": _clip,
    "elemwise_add": lambda operator, _: _node(operator, "Add"),
    "softmax": _softmax,
}
