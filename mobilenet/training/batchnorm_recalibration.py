"""Recomputes BatchNorm's running statistics for averaged weights, before they are validated."""

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
    """Computes running statistics of some batches for given weights.

    Attributes:
        make_network: Makes the network, not initialized, with the same frozen stages as in
            training.
        context: The device that computes, and that the weights are on.
        num_batches: Number of batches on each rank.
        num_parts: Number of equal parts in which a batch is computed, to save memory.
        group: The processes that train together.
    """

    make_network: Callable[[], MobileNetV2]
    context: mx.Context
    num_batches: int
    num_parts: int = 1
    group: Group = ALONE

    def __call__(self, arrays: Arrays, batches: Iterable[Batch]) -> Arrays:
        """The parameters `arrays` with running statistics over the first of `batches`.

        Every rank calls this, with its own batches.
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
