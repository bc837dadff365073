"""Pads a network's channels with zeros to whole blocks of oneDNN's memory layout.

oneDNN stores channels in blocks of 8 with AVX2 and of 16 with AVX-512. A layer whose channels do
not fill their blocks gets another layout than its neighbours, and converting between the two costs
more than computing a few more channels. The added channels are always zero: neither outputs nor
gradients change.
"""

from __future__ import annotations

import json
import math
from typing import Any, Mapping, Sequence

import mxnet as mx
from mxnet import gluon

from mobilenet.network.architecture import STATISTICS

Node = dict[str, Any]
Shape = tuple[int, ...]

_PADDED = "_padded"


def pad_channels(symbol: mx.sym.Symbol, block: int) -> mx.sym.Symbol:
    """The graph of a network with its channels rounded up to multiples of `block`.

    The image's channels and the classes stay. Variables keep the names of the parameters but have
    padded shapes (see `with_padded_parameters`). Running statistics, which the graph updates, get
    new names (see `share_statistics`).
    """
    graph = json.loads(symbol.tojson())
    nodes = graph["nodes"]
    for node in nodes:
        if node["op"] == "BatchNorm":
            _pad_norm(nodes, node, block)
        elif node["op"] in ("Convolution", "FullyConnected"):
            _pad_inputs(nodes, node, block)
    return mx.sym.load_json(json.dumps(graph))


def _pad_norm(nodes: list[Node], norm: Node, block: int) -> None:
    """Pads the variables of a BatchNorm, and the outputs of the convolution before it."""
    convolution, *variables = (nodes[index] for index, *_ in norm["inputs"])
    weight = nodes[convolution["inputs"][1][0]]
    channels, *rest = shape_of(weight)
    padded = _padded(channels, block)
    if padded == channels:
        return
    _set_shape(weight, (padded, *rest))
    convolution["attrs"]["num_filter"] = f"{padded}"
    if convolution["attrs"]["num_group"] != "1":  # depthwise
        convolution["attrs"]["num_group"] = f"{padded}"
    for variable in variables:
        _set_shape(variable, (padded,))
        if variable["name"].endswith(STATISTICS):
            variable["name"] += _PADDED


def _pad_inputs(nodes: list[Node], layer: Node, block: int) -> None:
    source, weight = (nodes[index] for index, *_ in layer["inputs"][:2])
    is_of_image = source["op"] == "null"
    is_depthwise = layer["attrs"].get("num_group", "1") != "1"
    if not is_of_image and not is_depthwise:
        channels, in_channels, *kernel = shape_of(weight)
        _set_shape(weight, (channels, _padded(in_channels, block), *kernel))


def _padded(channels: int, block: int) -> int:
    return -(-channels // block) * block


def shape_of(variable: Node) -> Shape:
    """The shape that a variable's node has."""
    sizes = variable["attrs"]["__shape__"].strip("()").split(",")
    return tuple(int(size) for size in sizes if size)


def _set_shape(variable: Node, shape: Shape) -> None:
    variable["attrs"]["__shape__"] = str(shape)


def with_padded_parameters(
    symbol: mx.sym.Symbol, parameters: Mapping[str, gluon.Parameter]
) -> mx.sym.Symbol:
    """The padded graph `symbol` reading `parameters`, which it extends with zeros where needed."""
    smaller = {}
    for node in json.loads(symbol.tojson())["nodes"]:
        name = node["name"]
        if node["op"] == "null" and name in parameters:
            shape = shape_of(node)
            if shape != parameters[name].shape:
                smaller[name] = _with_zeros(parameters[name], shape)
    return symbol(**smaller) if smaller else symbol


def _with_zeros(parameter: gluon.Parameter, shape: Shape) -> mx.sym.Symbol:
    """The values of `parameter`, followed by zeros along its first two axes.

    `pad` and its gradient are MXNet's own kernels. oneDNN's `concat` leaks some kilobytes at every
    backward pass (mxnet 1.9.1, src/operator/nn/mkldnn/mkldnn_concat.cc).
    """
    rows, columns = parameter.shape[0], math.prod(parameter.shape[1:])
    more_rows, more_columns = shape[0] - rows, math.prod(shape[1:]) - columns
    matrix = mx.sym.reshape(parameter.var(), shape=(1, 1, rows, columns))
    if shape[1:2] == (1,):
        # oneDNN's `reshape` fails on a depthwise kernel that inference has put into its layout.
        matrix = mx.sym.reshape_like(parameter.var(), mx.sym.zeros((1, 1, rows, columns)))
    padding = (0, 0, 0, 0, 0, more_rows, 0, more_columns)
    return mx.sym.reshape(mx.sym.pad(matrix, mode="constant", pad_width=padding), shape=shape)


def share_statistics(
    block: gluon.SymbolBlock,
    network: gluon.HybridBlock,
    contexts: Sequence[mx.Context],
    block_size: int,
) -> None:
    """Makes the running statistics of `network` the first part of those of its padded `block`."""
    own = network.collect_params()
    for name, parameter in block.collect_params().items():
        if name.endswith(_PADDED):
            small = own[name[: -len(_PADDED)]]
            parameter.shape = (_padded(small.shape[0], block_size),)
            parameter.grad_req = "null"
            parameter.initialize(mx.init.Zero(), ctx=list(contexts))
            parts = [whole[: small.shape[0]] for whole in parameter.list_data()]
            for part, value in zip(parts, small.list_data()):
                part[:] = value
            small._data = parts  # Gluon has no public way to give a parameter views
