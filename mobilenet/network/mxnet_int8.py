"""Inference in 8-bit integers by MXNet's oneDNN, on CPUs."""

from __future__ import annotations

import warnings
from typing import Mapping

import mxnet as mx
import numpy as np
import numpy.typing as npt
from mxnet import gluon
from mxnet.contrib.quantization import quantize_net_v2

from mobilenet.network.graph_forms import frozen_block

_BATCH_SIZE = 10


def int8_block(
    symbol: mx.sym.Symbol, arrays: Mapping[str, mx.nd.NDArray], images: npt.NDArray[np.float32]
) -> gluon.HybridBlock:
    """A frozen copy of a plain graph that computes in 8-bit integers: `(N, 3, H, W)` to logits.

    Ranges are the least and the largest value of each activation over `images`, normalised,
    `(N, 3, H, W)`. `mobilenet.compat.environment.allow_all_instructions` has to be called before:
    without the processor's instructions for integers this is no faster.
    """
    # quantize_net_v2 hybridizes what it is given; this copy is for it alone.
    network = frozen_block(symbol, arrays, mx.cpu())
    size = min(_BATCH_SIZE, len(images))
    data = mx.io.NDArrayIter(images, batch_size=size, last_batch_handle="discard")
    with warnings.catch_warnings():
        # It makes its result from an input without a type, which it finds out later.
        warnings.filterwarnings("ignore", message="Cannot decide type")
        block = quantize_net_v2(network, quantize_mode="smart", calib_data=data, calib_mode="naive")
    block.hybridize(static_alloc=True, static_shape=False)
    return block
