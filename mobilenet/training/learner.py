"""A network in training, with everything that training changes."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Callable, Iterable

import mxnet as mx
import numpy as np
import numpy.typing as npt

from mobilenet import build
from mobilenet.data.batch_reader import Batch
from mobilenet.distributed.group import ALONE, Group
from mobilenet.network import (
    batchnorm_statistics,
    batchnorm_unfolding,
    frozen_stages,
    initialization,
    weights,
)
from mobilenet.network.architecture import parameter_arrays
from mobilenet.network.graph_forms import inference_block_of, symbol_of, training_block
from mobilenet.runs.checkpoint import Arrays, Checkpoint, parameters_at
from mobilenet.settings.schema import Config
from mobilenet.training import build as training_build
from mobilenet.training.ema import MovingAverage
from mobilenet.training.optimizer import norm
from mobilenet.training.step import PendingOutcome

Images = npt.NDArray[np.float32]

_UNFOLDING_BATCHES = 8


class Learner:
    """The network of `config`, at random weights, with its optimizer and moving average.

    Every rank of `group` has one and calls the same methods; all of them are equal.

    Attributes:
        trained: The group of `groups` that is validated and exported.
        random_start: Parameters that initial weights have left at their random start.
        num_unfolded: BatchNorms that initial weights had folded into the convolutions.
    """

    def __init__(self, config: Config, group: Group = ALONE) -> None:
        self._config, self._group = config, group
        self._network = build.network(config)
        training = config.training
        initialization.initialize(
            self._network, build.contexts(config), training.seed, training.initializer
        )
        frozen_stages.freeze(self._network, config.training.frozen_stages)
        if config.training.precision != "float32":
            self._network.cast(config.training.precision)
        self._optimizer = training_build.optimizer(config, self._network, group)
        self._step = training_build.training_step(config, self._network, self._optimizer, group)
        # Where the network is in half precision, of what does not train these are copies.
        arrays = parameter_arrays(self._network).items()
        wide = {name: array.astype("float32", copy=False) for name, array in arrays}
        self._arrays = {**wide, **self._optimizer.masters()}
        decay = config.training.ema_decay
        self._average = None if decay is None else MovingAverage(self._arrays, decay)
        self.trained = "parameters" if decay is None else "average"
        self.random_start: list[str] = []
        self.num_unfolded = 0

    def load_initial_weights(self, batches: Iterable[Batch]) -> None:
        """Takes over training.initial_weights, if there are any.

        A classifier of another form, as for other classes, is left at its random start. Where
        BatchNorm was folded into the weights it gets the statistics of `batches`, a few of them.

        Raises:
            WeightsError: They cannot be read or do not fit the network.
        """
        if self._config.training.initial_weights is None:
            return
        path = parameters_at(Path(self._config.training.initial_weights))
        arrays = weights.read_parameters(path)
        own, given = _classifier(self._arrays), _classifier(arrays)
        if {n: a.shape for n, a in own.items()} != {n: a.shape for n, a in given.items()}:
            features = {name: array for name, array in arrays.items() if name not in given}
            random = {name: array.copy() for name, array in own.items()}
            arrays, self.random_start = {**features, **random}, sorted(random)
        self._set(arrays, path)
        self._unfold(itertools.islice(batches, _UNFOLDING_BATCHES))

    def _unfold(self, batches: Iterable[Batch]) -> None:
        arrays = {name: array.astype("float32") for name, array in self._arrays.items()}
        symbol = symbol_of(build.network(self._config))
        parameters = self._network.collect_params()
        norms = [
            norm
            for norm in batchnorm_unfolding.folded_norms(symbol, arrays)
            if parameters[norm.gamma].grad_req != "null"
        ]
        self.num_unfolded = len(norms)
        if norms:
            context = build.contexts(self._config)[0]
            block = inference_block_of(batchnorm_unfolding.moments(symbol, norms), arrays, context)
            parts = (part for batch in batches for part in self._device_parts(batch.data))
            outputs = (block(mx.nd.array(part, ctx=context)) for part in parts)
            self._set({**arrays, **batchnorm_unfolding.unfolded(norms, arrays, outputs)}, Path())

    def _set(self, arrays: Arrays, source: Path) -> None:
        weights.fit(self._network, arrays, source)
        self._optimizer.take_over_weights(arrays)
        for name, array in self._arrays.items():
            arrays[name].copyto(array)
        if self._average is not None:
            self._average.restore(self._arrays)

    def restore(self, saved: Checkpoint) -> None:
        """Continues from a checkpoint with what `groups` gave."""
        self._take_over(saved.arrays, saved.path)

    def _take_over(self, arrays_of: Callable[[str], Arrays], source: Path) -> None:
        self._set(arrays_of("parameters"), source)
        self._optimizer.restore(arrays_of("optimizer"))
        if self._average is not None:
            self._average.restore(arrays_of("average"))

    def share(self) -> None:
        """Makes every rank go on from what rank 0 has."""
        if self._group.size == 1:
            return
        groups = {
            group: {name: array.copy() for name, array in arrays.items()}
            for group, arrays in self.groups().items()
        }
        self._group.broadcast([array for arrays in groups.values() for array in arrays.values()])
        self._take_over(groups.__getitem__, Path("rank 0"))

    def step(self, batch: Batch, step: int, learning_rate: float) -> PendingOutcome:
        """Queues the training step numbered `step`, from 0, of this rank's share of the batch."""
        outcome = self._step(batch.data, batch.labels, step, learning_rate).over(self._group)
        if self._average is not None:
            self._average.update(step, outcome.gradient_norm)
        return outcome

    def groups(self) -> dict[str, Arrays]:
        """Everything that training changes, as groups of arrays by name."""
        batchnorm_statistics.synchronize(self._network, self._group)
        groups: dict[str, Arrays] = {
            "parameters": self._arrays,
            "optimizer": self._optimizer.state(),
        }
        if self._average is not None:
            batchnorm_statistics.average_over_ranks(self._average.averages, self._group)
            groups["average"] = self._average.averages
        return groups

    def recalibrated(self, batches: Iterable[Batch]) -> Arrays:
        """The arrays of `trained` with BatchNorm's statistics computed afresh over `batches`.

        Every rank gives as many batches.
        """
        arrays = self.groups()[self.trained]
        context = build.contexts(self._config)[0]
        network = build.network(self._config)
        network.initialize(ctx=context)
        weights.fit(network, arrays, Path())
        batchnorm_statistics.forget_history(network)
        frozen_stages.freeze(network, self._config.training.frozen_stages)
        block = training_block(network, [context])
        images = (part for batch in batches for part in self._device_parts(batch.data))
        statistics = batchnorm_statistics.recalibrated(network, block, images)
        batchnorm_statistics.average_over_ranks(statistics, self._group)
        return {**arrays, **statistics}

    def _device_parts(self, images: Images) -> list[Images]:
        """The images of a batch in the parts that a device has the memory for."""
        training = self._config.training
        return np.split(images, len(training.devices) * training.accumulation)


def _classifier(arrays: Arrays) -> dict[str, mx.nd.NDArray]:
    return {name: array for name, array in arrays.items() if name.startswith("classifier_")}


def is_finite(arrays: Arrays) -> bool:
    """Whether every value is finite."""
    # Not by multi_all_finite, which writes beyond its memory when it is given over 200 arrays.
    return math.isfinite(norm(arrays.values()).asscalar())
