"""BatchNorm's running statistics: averaged over devices, and recomputed from images."""

from __future__ import annotations

from typing import Iterable, Mapping

import mxnet as mx
import numpy as np
import numpy.typing as npt
from mxnet import autograd, gluon
from mxnet.gluon import nn

from mobilenet.distributed.group import ALONE, Group
from mobilenet.network.architecture import STATISTICS


def synchronize(network: gluon.HybridBlock, group: Group = ALONE) -> None:
    """Sets the running statistics on every device of every rank to the mean over all of them.

    Each device has statistics of the images that it saw; a file holds only one set.
    """
    parameters = [p for name, p in network.collect_params().items() if name.endswith(STATISTICS)]
    copies = [parameter.list_data() for parameter in parameters]
    if len(copies[0]) * group.size == 1:
        return
    means = [mx.nd.array(np.mean([a.asnumpy() for a in arrays], axis=0)) for arrays in copies]
    group.mean(means)
    for parameter, mean in zip(parameters, means):
        parameter.set_data(mean)


def average_over_ranks(arrays: Mapping[str, mx.nd.NDArray], group: Group) -> None:
    """Replaces the running statistics among `arrays` by their means over the ranks."""
    group.mean([array for name, array in arrays.items() if name.endswith(STATISTICS)])


def forget_history(network: gluon.HybridBlock) -> None:
    """Sets the momentum of the running statistics to 0: they are those of the last batch alone.

    `recalibrated` needs this. Call it before a graph is made of the network.
    """

    def forget(block: gluon.Block) -> None:
        if isinstance(block, nn.BatchNorm):
            block._kwargs["momentum"] = 0.0  # Gluon has no setter for it

    network.apply(forget)


def recalibrated(
    network: gluon.HybridBlock,
    block: gluon.HybridBlock,
    batches: Iterable[npt.NDArray[np.float32]],
) -> dict[str, mx.nd.NDArray]:
    """Running statistics computed anew: the mean over `batches`, each with the same weight.

    Averaged weights need this, because their own statistics come from other weights. It is the
    "precise BatchNorm" of Wu and Johnson, "Rethinking 'Batch' in BatchNorm", 2021, section 3.

    Args:
        network: Prepared by `forget_history`; its running statistics are overwritten.
        block: A form of `network` that trains its parameters.
        batches: Normalised images `(N, 3, H, W)`.

    Returns:
        Arrays `(C,)` by parameter name, on the device of `network`.
    """
    statistics = {
        name: parameter
        for name, parameter in network.collect_params().items()
        if name.endswith(STATISTICS)
    }
    context = next(iter(statistics.values())).list_ctx()[0]
    sums = {name: np.zeros(p.shape) for name, p in statistics.items()}
    num_batches = 0
    for images in batches:
        with autograd.record():
            outputs = block(mx.nd.array(images, ctx=context))
        outputs.backward()
        # On CPUs the backward pass changes the running statistics, but MXNet's engine does not
        # know it, so that reading them would not wait.
        mx.nd.waitall()
        for name, parameter in statistics.items():
            sums[name] += parameter.list_data()[0].asnumpy()
        num_batches += 1
    return {name: mx.nd.array(total / num_batches, ctx=context) for name, total in sums.items()}
