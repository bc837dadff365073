"""BatchNorm's running statistics: the same on all devices, and computed afresh."""

from __future__ import annotations

from typing import Iterable, Mapping

import mxnet as mx
import numpy as np
import numpy.typing as npt
from mxnet import autograd, gluon
from mxnet.gluon import nn

from mobilenet.distributed.group import ALONE, Group

_ENDINGS = ("running_mean", "running_var")


def synchronize(network: gluon.HybridBlock, group: Group = ALONE) -> None:
    """Gives every device of every rank the mean of the devices' running statistics.

    Each device keeps those of the images that it saw; a file holds only one set.
    """
    parameters = [p for name, p in network.collect_params().items() if name.endswith(_ENDINGS)]
    copies = [parameter.list_data() for parameter in parameters]
    if len(copies[0]) * group.size == 1:
        return
    means = [mx.nd.array(np.mean([a.asnumpy() for a in arrays], axis=0)) for arrays in copies]
    group.mean(means)
    for parameter, mean in zip(parameters, means):
        parameter.set_data(mean)


def average_over_ranks(arrays: Mapping[str, mx.nd.NDArray], group: Group) -> None:
    """Replaces the running statistics among `arrays` by their means over the ranks."""
    group.mean([array for name, array in arrays.items() if name.endswith(_ENDINGS)])


def forget_history(network: gluon.HybridBlock) -> None:
    """Makes the running statistics those of the last batch alone, for `recalibrated`.

    To be called before a graph is made of the network.
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
    """Running statistics as the mean over `batches` `(N, 3, H, W)`, all weighed alike.

    They fit weights that did not see the batches one after the other, such as averages; "precise
    BatchNorm" of Wu and Johnson, "Rethinking 'Batch' in BatchNorm", 2021, section 3.
    They are on the device of `network`.

    Args:
        network: Whose history `forget_history` took; changed.
        block: A form of `network` that trains its parameters.
        batches: Images as the network takes them.
    """
    statistics = {
        name: parameter
        for name, parameter in network.collect_params().items()
        if name.endswith(_ENDINGS)
    }
    context = next(iter(statistics.values())).list_ctx()[0]
    sums = {name: np.zeros(p.shape) for name, p in statistics.items()}
    num_batches = 0
    for images in batches:
        with autograd.record():
            outputs = block(mx.nd.array(images, ctx=context))
        outputs.backward()
        # On CPUs only the backward pass changes the running statistics, and reading them does not
        # wait for it: for the engine it leaves them alone.
        mx.nd.waitall()
        for name, parameter in statistics.items():
            sums[name] += parameter.list_data()[0].asnumpy()
        num_batches += 1
    return {name: mx.nd.array(total / num_batches, ctx=context) for name, total in sums.items()}
