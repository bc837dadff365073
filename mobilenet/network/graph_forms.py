"""The forms of a network's graph: plain, for fast training, and for fast inference.

`symbol_of` gives the plain form, which is exported: Convolution, BatchNorm, clip. `training_block`
gives the form that trains fast on CPUs, `inference_block` the one for fast inference.
"""

from __future__ import annotations

import platform
from typing import Mapping, NamedTuple, Sequence

import mxnet as mx
from mxnet import gluon

from mobilenet.network.architecture import parameter_arrays
from mobilenet.network.batchnorm_relu6_fusion import fused_block, sound_block_size
from mobilenet.network.bfloat16_graph import BFLOAT16


def symbol_of(network: gluon.HybridBlock) -> mx.sym.Symbol:
    """The plain graph of `network`: input `data`, variables named like its parameters."""
    return network(_input())


def _input() -> mx.sym.Symbol:
    return mx.sym.var("data", dtype="float32")


class TrainingForm(NamedTuple):
    """Which form of the graph trains, and why."""

    name: str
    """`fused` or `plain`."""
    reason: str
    block_size: int = 0
    """Channels are padded to multiples of this in the fused form; 0 in the plain form."""


def training_form(contexts: Sequence[mx.Context], precision: str = "float32") -> TrainingForm:
    """The fastest form that trains correctly on `contexts`, in `precision` if it is bfloat16."""
    if any(context.device_type != "cpu" for context in contexts):
        return TrainingForm("plain", "GPUs need no other")
    if platform.machine() != "x86_64":
        return TrainingForm("plain", "oneDNN has no fast kernels for the fused one here")
    size = sound_block_size(precision)
    if size is None:
        return TrainingForm(
            "plain", "oneDNN refuses the fused operators here, or computes wrong gradients by them"
        )
    reason = f"BatchNorm and activation as oneDNN's fused operators, channels in blocks of {size}"
    if precision == BFLOAT16:
        reason += ", in bfloat16 but for the stem and the classifier"
    return TrainingForm("fused", reason, size)


def training_block(
    network: gluon.HybridBlock, contexts: Sequence[mx.Context], precision: str = "float32"
) -> gluon.HybridBlock:
    """A hybridized block that trains the parameters of `network`, in its fastest form.

    It takes normalised images `(N, 3, H, W)` and gives logits `(N, classes)`. Its parameters are
    those of `network`. `training_form` chooses between the fused form
    (`batchnorm_relu6_fusion.fuse_activations`) and the plain one, which is `network` itself and
    always computes in the type of its parameters. The fused form computes in `precision`,
    `float32` or `bfloat16`; its parameters are in float32 in both.
    """
    size = training_form(contexts, precision).block_size
    block = fused_block(network, contexts, size, precision) if size else network
    block.hybridize(static_alloc=True, static_shape=True)
    return block


def inference_block(network: gluon.HybridBlock, context: mx.Context) -> gluon.HybridBlock:
    """A frozen copy of `network` for inference.

    It takes normalised images `(N, 3, H, W)` on `context` and gives logits `(N, classes)`. On CPUs
    oneDNN folds BatchNorm and the activation into the convolutions. Later changes of the network's
    parameters have no effect on the copy.
    """
    return inference_block_of(symbol_of(network), parameter_arrays(network), context)


def inference_block_of(
    symbol: mx.sym.Symbol, arrays: Mapping[str, mx.nd.NDArray], context: mx.Context
) -> gluon.HybridBlock:
    """Like `inference_block`, from a plain graph and its parameters by name."""
    block = frozen_block(symbol, arrays, context)
    backend = {"backend": "MKLDNN"} if context.device_type == "cpu" else {}
    # A batch of another shape, such as the last one, costs one new memory plan.
    block.hybridize(static_alloc=True, static_shape=True, **backend)
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
