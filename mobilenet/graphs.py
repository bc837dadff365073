"""Three forms of one network's graph that share its parameters.

`symbol_of` is the plain form, which is exported: Convolution, BatchNorm, clip. `training_block` is
the form that trains fast on CPUs, `inference_block` the one that infers fast.
"""

from __future__ import annotations

from typing import Mapping, Sequence

import mxnet as mx
from mxnet import gluon

from mobilenet.fusion import fused_block, fused_relu6_is_sound


def symbol_of(network: gluon.HybridBlock) -> mx.sym.Symbol:
    """The plain graph of `network`: input `data`, variables named like its parameters."""
    return network(_input())


def _input() -> mx.sym.Symbol:
    return mx.sym.var("data", dtype="float32")


def training_block(network: gluon.HybridBlock, contexts: Sequence[mx.Context]) -> gluon.HybridBlock:
    """A block that trains the parameters of `network`, in the fastest form for its devices.

    On CPUs every BatchNorm with ReLU6 is rewritten as two fused operators (`fuse_relu6`), if they
    are sound here; otherwise, and on GPUs, the network itself is hybridized.
    """
    if any(context.device_type != "cpu" for context in contexts) or not fused_relu6_is_sound():
        block = network
    else:
        block = fused_block(network, contexts)
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
    block = frozen_block(symbol, arrays, context)
    backend = {"backend": "MKLDNN"} if context.device_type == "cpu" else {}
    block.hybridize(static_alloc=True, static_shape=False, **backend)
    return block


def frozen_block(
    symbol: mx.sym.Symbol, arrays: Mapping[str, mx.nd.NDArray], context: mx.Context
) -> gluon.HybridBlock:
    """A plain graph with copies of its parameters, by name, on `context`; not hybridized."""
    block = gluon.SymbolBlock(symbol, [_input()])
    for name, parameter in block.collect_params().items():
        parameter.shape, parameter.grad_req = arrays[name].shape, "null"
        parameter.initialize(ctx=context)
        parameter.set_data(arrays[name])
    return block
