"""Quantizes a network to int8 for inference by MXNet's oneDNN, on CPUs."""

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
    """A frozen copy of a plain graph that computes in int8: `(N, 3, H, W)` to `(N, classes)`.

    The range of each activation is its minimum and maximum over `images`, which are normalised,
    `(N, 3, H, W)`. Call `mobilenet.compat.environment.allow_all_instructions` first: without the
    processor's integer instructions int8 is no faster than float32.
    """
    # quantize_net_v2 hybridizes the block that it is given, so it gets a copy of its own.
    network = frozen_block(symbol, arrays, mx.cpu())
    size = min(_BATCH_SIZE, len(images))
    data = mx.io.NDArrayIter(images, batch_size=size, last_batch_handle="discard")
    with warnings.catch_warnings():
        # The result has an input without a type, which MXNet infers later.
        warnings.filterwarnings("ignore", message="Cannot decide type")
        block = quantize_net_v2(network, quantize_mode="smart", calib_data=data, calib_mode="naive")
    # Without a static shape MXNet quantizes the weights and makes oneDNN's primitives anew in every
    # call, which for a single image takes four times as long as the rest. Another shape is computed
    # as well: it makes them anew once.
    block.hybridize(static_alloc=True, static_shape=True)
    return block
