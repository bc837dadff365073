"""Rewrites BatchNorm and the ReLU6 after it as fused oneDNN operators, to train fast on CPUs."""

from __future__ import annotations

import functools
import json
from typing import NamedTuple, Optional, Sequence

import mxnet as mx
import numpy as np
import numpy.typing as npt
from mxnet import autograd, gluon
from mxnet.gluon import nn

from mobilenet.network.bfloat16_graph import BFLOAT16, in_bfloat16
from mobilenet.network.channel_padding import (
    Node,
    pad_channels,
    shape_of,
    share_statistics,
    with_padded_parameters,
)

Graph = tuple[mx.sym.Symbol, dict[str, mx.nd.NDArray]]

# 6 - b is near 6 for most activations b. Numbers just below a power of two have the smallest
# relative rounding error, so bfloat16 has 2 / 3 of it, at most 4: the activations of the network
# become multiples of 0.023, as finely spaced as int8's, instead of multiples of 0.031.
_REST_SCALES = {"float32": 1.0, BFLOAT16: 2 / 3}


def fuse_activations(symbol: mx.sym.Symbol, block_size: int, precision: str = "float32") -> Graph:
    """Rewrites BatchNorm with ReLU as one fused operator, and BatchNorm with ReLU6 as two.

    relu6(b) = relu(6 - relu(6 - b)) and 6 - BatchNorm(x; gamma, beta) = BatchNorm(x; -gamma,
    6 - beta). So the first operator is the BatchNorm with other parameters, and the second is a
    BatchNorm with constant statistics that computes 6 - y. Both are oneDNN kernels and keep its
    blocked layout; MXNet's `clip` is a scalar loop that needs the plain layout.

    Args:
        symbol: A plain graph.
        block_size: Number of channels in a block of oneDNN's layout.
        precision: `float32` or `bfloat16`, in which the graph will compute.

    Returns:
        The new graph, and its constants `(C,)`, which it has in addition to the parameters.
    """
    nodes = json.loads(symbol.tojson())["nodes"]
    built: list[mx.sym.Symbol] = []
    constants: dict[str, mx.nd.NDArray] = {}
    scale = _REST_SCALES[precision]
    for node in nodes:
        inputs = [built[index][output] for index, output, *_ in node["inputs"]]
        if node["op"] == "null":
            built.append(mx.sym.var(node["name"], attr=node.get("attrs")))
        elif _is_activation(node) and _is_blocked(nodes, len(built), block_size):
            norm = nodes[node["inputs"][0][0]]
            arguments = [built[index] for index, *_ in norm["inputs"]]
            cap = _cap(nodes, norm, scale) if node["op"] == "clip" else {}
            constants.update(cap)
            layer = _Layer(node["name"], norm["attrs"], arguments)
            built.append(_norm_activation(layer, list(cap), scale))
        else:
            operator = getattr(mx.sym, node["op"])
            built.append(operator(*inputs, name=node["name"], **node.get("attrs", {})))
    return built[-1], constants


def _is_activation(node: Node) -> bool:
    attributes = node.get("attrs", {})
    if node["op"] == "Activation":
        return bool(attributes["act_type"] == "relu")
    return node["op"] == "clip" and (attributes["a_min"], attributes["a_max"]) == ("0", "6")


def _is_blocked(nodes: list[Node], activation: int, block_size: int) -> bool:
    """Whether oneDNN keeps one blocked layout from the convolution before to the ones after.

    The fused operator stores which values ReLU set to 0, in the layout of its input. Where a
    neighbour is a sum, a pooling layer, or a convolution whose channels do not fill their blocks,
    the gradient arrives in another layout, and the operator fails or gives a wrong gradient.
    """
    norm = nodes[nodes[activation]["inputs"][0][0]]
    if norm["op"] != "BatchNorm":
        return False
    before = nodes[norm["inputs"][0][0]]
    behind = [node for node in nodes if any(index == activation for index, *_ in node["inputs"])]
    return all(_fills_blocks(nodes, node, block_size) for node in (before, *behind))


def _fills_blocks(nodes: list[Node], node: Node, block_size: int) -> bool:
    if node["op"] != "Convolution":
        return False
    channels, per_group, *_ = shape_of(nodes[node["inputs"][1][0]])
    is_image_or_depthwise = per_group in (1, 3)
    return channels % block_size == 0 and (is_image_or_depthwise or per_group % block_size == 0)


def _cap(nodes: list[Node], norm: Node, scale: float) -> dict[str, mx.nd.NDArray]:
    """Gamma, beta, mean and variance of a BatchNorm computing 6 - y / `scale` for an input y."""
    (channels,) = shape_of(nodes[norm["inputs"][1][0]])
    eps = float(norm["attrs"]["eps"])
    values = {"gamma": -1.0 / scale, "beta": 6.0, "mean": 0.0, "var": 1.0 - eps}
    return {
        f"relu6_cap{channels}_{name}": mx.nd.full((channels,), value)
        for name, value in values.items()
    }


class _Layer(NamedTuple):
    """A BatchNorm with the activation behind it."""

    name: str
    attributes: dict[str, str]
    arguments: list[mx.sym.Symbol]
    """Input, gamma, beta, running mean and variance."""


def _norm_activation(layer: _Layer, cap: list[str], scale: float) -> mx.sym.Symbol:
    norm_relu = mx.sym.contrib.BatchNormWithReLU
    name, attributes, (x, gamma, beta, mean, var) = layer
    if not cap:
        return norm_relu(x, gamma, beta, mean, var, name=name, **attributes)
    gamma, beta = -gamma, 6 - beta
    if scale != 1:
        gamma, beta = scale * gamma, scale * beta
    rest = norm_relu(x, gamma, beta, mean, var, name=f"{name}_rest", **attributes)
    frozen = {**attributes, "use_global_stats": "True", "fix_gamma": "False"}
    constants = [mx.sym.var(constant, dtype="float32") for constant in cap]
    return norm_relu(rest, *constants, name=name, **frozen)


def fused_block(
    network: gluon.HybridBlock,
    contexts: Sequence[mx.Context],
    block_size: int,
    precision: str = "float32",
) -> gluon.SymbolBlock:
    """The fused form of `network`, sharing its parameters; not yet hybridized.

    Channels are padded to multiples of `block_size`. Input, output and parameters are in float32;
    with the precision `bfloat16`, most of what lies between them is not (`bfloat16_graph`).
    """
    data = mx.sym.var("data", dtype="float32")
    parameters = network.collect_params()
    padded = pad_channels(network(data), block_size)
    symbol, constants = fuse_activations(padded, block_size, precision)
    if precision == BFLOAT16:
        symbol = in_bfloat16(symbol)
    block = gluon.SymbolBlock(with_padded_parameters(symbol, parameters), [data], parameters)
    for name, value in constants.items():
        parameter = block.params.get(name)
        parameter.shape, parameter.grad_req = value.shape, "null"
        parameter.initialize(mx.init.Constant(value), ctx=list(contexts))
    share_statistics(block, network, contexts, block_size)
    return block


# Largest error of the probe's gradient, as a fraction of its largest value. Rounding alone gives
# 5e-7 and 0.24, a gradient in the wrong layout 1.1.
_BOUNDS = {"float32": 1e-3, BFLOAT16: 0.5}


@functools.cache
def sound_block_size(precision: str = "float32") -> Optional[int]:
    """The block size, 8 or 16, with which oneDNN computes the fused form right on this processor.

    None if neither does. With AVX-512, oneDNN 2.4 lays out 24 channels in another way than 96 or
    144; the fused operator then fails or computes a wrong gradient. The probe has such layers.
    """
    return next((size for size in (8, 16) if _is_sound(size, precision)), None)


def _is_sound(block_size: int, precision: str) -> bool:
    """Whether the fused form gives the plain form's gradients."""
    probe = _probe()
    plain = _gradient(probe)
    try:
        fused = _gradient(fused_block(probe, [mx.cpu()], block_size, precision))
    except mx.MXNetError:
        return False
    return bool(np.abs(fused - plain).max() < _BOUNDS[precision] * np.abs(plain).max())


def _probe() -> nn.HybridSequential:
    """A few layers of MobileNet v2's sizes, with parameters that make values exceed 6."""
    net = nn.HybridSequential(prefix="probe_")
    widths = ((3, 24, 3, 1), (24, 96, 1, 1), (96, 96, 3, 96), (96, 24, 1, 1), (24, 144, 1, 1))
    with net.name_scope():
        for in_channels, channels, kernel, groups in widths:
            size = {"padding": kernel // 2, "groups": groups, "in_channels": in_channels}
            net.add(nn.Conv2D(channels, kernel, use_bias=False, **size))
            net.add(nn.BatchNorm(in_channels=channels, gamma_initializer=mx.init.Constant(4)))
            net.add(nn.HybridLambda(lambda F, x: F.clip(x, 0, 6)))  # noqa: N803  Gluon's name
        net.add(nn.Conv2D(24, 1, use_bias=False, in_channels=144), nn.BatchNorm(in_channels=24))
    net.add(nn.GlobalAvgPool2D(), nn.Dense(10, in_units=24))
    net.initialize()
    random = np.random.default_rng(0)
    for name, parameter in net.collect_params().items():
        if name.endswith("weight"):
            parameter.set_data(mx.nd.array(random.uniform(-1, 1, parameter.shape)))
    return net


def _gradient(block: gluon.HybridBlock) -> npt.NDArray[np.float32]:
    """The gradient at the probe's input, for a fixed input and a fixed output gradient."""
    random = np.random.default_rng(1)
    data = mx.nd.array(random.normal(size=(2, 3, 14, 14)))
    data.attach_grad()
    block.hybridize()
    with autograd.record():
        output = block(data)
    output.backward(mx.nd.array(random.normal(size=output.shape)))
    gradient: npt.NDArray[np.float32] = data.grad.asnumpy()
    return gradient
