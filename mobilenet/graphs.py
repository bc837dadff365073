"""Three forms of one network's graph that share its parameters.

`symbol_of` is the plain form, which is exported: Convolution, BatchNorm, clip. `training_block` is
the form that trains fast on CPUs, `inference_block` the one that infers fast.
"""

from __future__ import annotations

import json
from typing import Any, Mapping, Sequence

import mxnet as mx
from mxnet import gluon


def symbol_of(network: gluon.HybridBlock) -> mx.sym.Symbol:
    """The plain graph of `network`: input `data`, variables named like its parameters."""
    return network(_input())


def _input() -> mx.sym.Symbol:
    return mx.sym.var("data", dtype="float32")


def training_block(network: gluon.HybridBlock, contexts: Sequence[mx.Context]) -> gluon.HybridBlock:
    """A block that trains the parameters of `network`, in the fastest form for its devices.

    On CPUs every BatchNorm with ReLU6 is rewritten as two fused operators (`fuse_relu6`); on GPUs
    the network itself is hybridized.
    """
    if any(context.device_type != "cpu" for context in contexts):
        block = network
    else:
        symbol, constants = fuse_relu6(symbol_of(network))
        block = gluon.SymbolBlock(symbol, [_input()], network.collect_params())
        for name, value in constants.items():
            parameter = block.params.get(name)
            parameter.shape, parameter.grad_req = value.shape, "null"
            parameter.initialize(mx.init.Constant(value), ctx=list(contexts))
    block.hybridize(static_alloc=True, static_shape=True)
    return block


def inference_block(network: gluon.HybridBlock, context: mx.Context) -> gluon.HybridBlock:
    """A frozen copy of `network` for inference: `(N, 3, H, W)` on `context` to logits.

    On CPUs oneDNN folds BatchNorm and the activation into the convolutions, so that later changes
    of the network's parameters have no effect on the block.
    """
    arrays = {name: p.list_data()[0] for name, p in network.collect_params().items()}
    return inference_block_of(symbol_of(network), arrays, context)


def inference_block_of(
    symbol: mx.sym.Symbol, arrays: Mapping[str, mx.nd.NDArray], context: mx.Context
) -> gluon.HybridBlock:
    """Like `inference_block`, from a plain graph and its parameters by name."""
    block = gluon.SymbolBlock(symbol, [_input()])
    for name, parameter in block.collect_params().items():
        parameter.shape, parameter.grad_req = arrays[name].shape, "null"
        parameter.initialize(ctx=context)
        parameter.set_data(arrays[name])
    backend = {"backend": "MKLDNN"} if context.device_type == "cpu" else {}
    block.hybridize(static_alloc=True, static_shape=False, **backend)
    return block


def fuse_relu6(symbol: mx.sym.Symbol) -> tuple[mx.sym.Symbol, dict[str, mx.nd.NDArray]]:
    """Rewrites BatchNorm with ReLU6 as two fused BatchNorm-with-ReLU operators.

    relu6(b) = relu(6 - relu(6 - b)) and 6 - BatchNorm(x; gamma, beta) = BatchNorm(x; -gamma,
    6 - beta). The first operator is therefore the BatchNorm itself with other parameters, the
    second a BatchNorm with constant statistics that computes 6 - y. Both are oneDNN kernels that
    keep its blocked layout, where `clip` is a scalar loop that leaves it.

    Returns:
        The new graph, and the constant variables `(C,)` that it has besides the parameters.
    """
    nodes = json.loads(symbol.tojson())["nodes"]
    built: list[mx.sym.Symbol] = []
    constants: dict[str, mx.nd.NDArray] = {}
    for node in nodes:
        inputs = [built[index][output] for index, output, *_ in node["inputs"]]
        if node["op"] == "null":
            built.append(mx.sym.var(node["name"], attr=node.get("attrs")))
        elif _is_relu6(node) and nodes[node["inputs"][0][0]]["op"] == "BatchNorm":
            norm = nodes[node["inputs"][0][0]]
            arguments = [built[index] for index, *_ in norm["inputs"]]
            cap = _cap(_channels(nodes, norm), float(norm["attrs"]["eps"]))
            constants.update(cap)
            built.append(_norm_relu6(arguments, list(cap), norm["attrs"], node["name"]))
        else:
            operator = getattr(mx.sym, node["op"])
            built.append(operator(*inputs, name=node["name"], **node.get("attrs", {})))
    return built[-1], constants


def _is_relu6(node: dict[str, Any]) -> bool:
    limits = node.get("attrs", {})
    return node["op"] == "clip" and (limits["a_min"], limits["a_max"]) == ("0", "6")


def _channels(nodes: list[dict[str, Any]], norm: dict[str, Any]) -> int:
    gamma = nodes[norm["inputs"][1][0]]
    return int(gamma["attrs"]["__shape__"].strip("(,)"))


def _cap(channels: int, eps: float) -> dict[str, mx.nd.NDArray]:
    """Gamma, beta, mean and variance of a BatchNorm that computes 6 - y for `channels` channels."""
    values = {"gamma": -1.0, "beta": 6.0, "mean": 0.0, "var": 1.0 - eps}
    return {
        f"relu6_cap{channels}_{name}": mx.nd.full((channels,), value)
        for name, value in values.items()
    }


def _norm_relu6(
    arguments: list[mx.sym.Symbol], cap: list[str], attributes: dict[str, str], name: str
) -> mx.sym.Symbol:
    x, gamma, beta, mean, var = arguments
    norm_relu = mx.sym.contrib.BatchNormWithReLU
    rest = norm_relu(x, -gamma, 6 - beta, mean, var, name=f"{name}_rest", **attributes)
    frozen = {**attributes, "use_global_stats": "True", "fix_gamma": "False"}
    constants = [mx.sym.var(constant, dtype="float32") for constant in cap]
    return norm_relu(rest, *constants, name=name, **frozen)
