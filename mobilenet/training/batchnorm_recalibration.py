"""Computes BatchNorm's statistics afresh for weights that have not seen batches, as averages."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable

import mxnet as mx
import numpy as np

from mobilenet.data.batch_reader import Batch
from mobilenet.distributed.group import ALONE, Group
from mobilenet.network import batchnorm_statistics, weights
from mobilenet.network.architecture import MobileNetV2
from mobilenet.network.graph_forms import training_block
from mobilenet.runs.checkpoint_folder import Arrays


@dataclass(frozen=True)
class Recalibration:
    """Gives weights the statistics of some batches.

    Attributes:
        make_network: Makes the network, not initialized, its leading stages frozen as in training.
        context: The device that computes, on which the weights are too.
        num_batches: Batches of each rank.
        num_parts: Equal parts in which a batch is computed, to need less memory.
        group: The processes that train together.
    """

    make_network: Callable[[], MobileNetV2]
    context: mx.Context
    num_batches: int
    num_parts: int = 1
    group: Group = ALONE

    def __call__(self, arrays: Arrays, batches: Iterable[Batch]) -> Arrays:
        """`arrays`, a network's parameters by name, with statistics over the first of `batches`.

        Every rank calls this, with batches of its own.
        """
        network = self.make_network()
        network.initialize(ctx=self.context)
        weights.fit(network, arrays, Path())
        batchnorm_statistics.forget_history(network)
        block = training_block(network, [self.context])
        images = (
            part
            for batch in itertools.islice(batches, self.num_batches)
            for part in np.split(batch.data, self.num_parts)
        )
        statistics = batchnorm_statistics.recalibrated(network, block, images)
        batchnorm_statistics.average_over_ranks(statistics, self.group)
        return {**arrays, **statistics}
