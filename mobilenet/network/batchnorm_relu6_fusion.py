"""Rewrites BatchNorm and the ReLU6 after it as fused oneDNN operators, to train fast on CPUs."""

from __future__ import annotations

import functools
import json
from typing import Optional, Sequence

import mxnet as mx
import numpy as np
import numpy.typing as npt
from mxnet import autograd, gluon
from mxnet.gluon import nn

from mobilenet.network.channel_padding import (
    Node,
    pad_channels,
    shape_of,
    share_statistics,
    with_padded_parameters,
)

Graph = tuple[mx.sym.Symbol, dict[str, mx.nd.NDArray]]


def fuse_activations(symbol: mx.sym.Symbol, block_size: int) -> Graph:
    """Rewrites BatchNorm with ReLU as one fused operator, and BatchNorm with ReLU6 as two.

    relu6(b) = relu(6 - relu(6 - b)) and 6 - BatchNorm(x; gamma, beta) = BatchNorm(x; -gamma,
    6 - beta). So the first operator is the BatchNorm with other parameters, and the second is a
    BatchNorm with constant statistics that computes 6 - y. Both are oneDNN kernels and keep its
    blocked layout; MXNet's `clip` is a scalar loop that needs the plain layout.

    Returns:
        The new graph, and its constants `(C,)`, which it has in addition to the parameters.
    """
    nodes = json.loads(symbol.tojson())["nodes"]
    built: list[mx.sym.Symbol] = []
    constants: dict[str, mx.nd.NDArray] = {}
    for node in nodes:
        inputs = [built[index][output] for index, output, *_ in node["inputs"]]
        if node["op"] == "null":
            built.append(mx.sym.var(node["name"], attr=node.get("attrs")))
        elif _is_activation(node) and _is_blocked(nodes, len(built), block_size):
            norm = nodes[node["inputs"][0][0]]
            arguments = [built[index] for index, *_ in norm["inputs"]]
            cap = _cap(nodes, norm) if node["op"] == "clip" else {}
            constants.update(cap)
            built.append(_norm_activation(arguments, list(cap), norm["attrs"], node["name"]))
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


def _cap(nodes: list[Node], norm: Node) -> dict[str, mx.nd.NDArray]:
    """Gamma, beta, mean and variance of a BatchNorm computing 6 - y for the output y of `norm`."""
    (channels,) = shape_of(nodes[norm["inputs"][1][0]])
    eps = float(norm["attrs"]["eps"])
    values = {"gamma": -1.0, "beta": 6.0, "mean": 0.0, "var": 1.0 - eps}
    return {
        f"relu6_cap{channels}_{name}": mx.nd.full((channels,), value)
        for name, value in values.items()
    }


def _norm_activation(
    arguments: list[mx.sym.Symbol], cap: list[str], attributes: dict[str, str], name: str
) -> mx.sym.Symbol:
    norm_relu = mx.sym.contrib.BatchNormWithReLU
    if not cap:
        return norm_relu(*arguments, name=name, **attributes)
    x, gamma, beta, mean, var = arguments
    rest = norm_relu(x, -gamma, 6 - beta, mean, var, name=f"{name}_rest", **attributes)
    frozen = {**attributes, "use_global_stats": "True", "fix_gamma": "False"}
    constants = [mx.sym.var(constant, dtype="float32") for constant in cap]
    return norm_relu(rest, *constants, name=name, **frozen)


def fused_block(
    network: gluon.HybridBlock, contexts: Sequence[mx.Context], block_size: int
) -> gluon.SymbolBlock:
    """The fused form of `network`, sharing its parameters; not yet hybridized.

    Channels are padded to multiples of `block_size`.
    """
    data = mx.sym.var("data", dtype="float32")
    parameters = network.collect_params()
    symbol, constants = fuse_activations(pad_channels(network(data), block_size), block_size)
    block = gluon.SymbolBlock(with_padded_parameters(symbol, parameters), [data], parameters)
    for name, value in constants.items():
        parameter = block.params.get(name)
        parameter.shape, parameter.grad_req = value.shape, "null"
        parameter.initialize(mx.init.Constant(value), ctx=list(contexts))
    share_statistics(block, network, contexts, block_size)
    return block


@functools.cache
def sound_block_size() -> Optional[int]:
    """The block size, 8 or 16, with which oneDNN computes the fused form right on this processor.

    None if neither does. With AVX-512, oneDNN 2.4 lays out 24 channels in another way than 96 or
    144; the fused operator then fails or computes a wrong gradient. The probe has such layers.
    """
    return next(filter(_is_sound, (8, 16)), None)


def _is_sound(block_size: int) -> bool:
    """Whether the fused form gives the plain form's gradients."""
    probe = _probe()
    plain = _gradient(probe)
    try:
        fused = _gradient(fused_block(probe, [mx.cpu()], block_size))
    except mx.MXNetError:
        return False
    return bool(np.abs(fused - plain).max() < 1e-3 * np.abs(plain).max())


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
