"""The state of training: a network, its optimizer, and a moving average of its weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import numpy as np

from mobilenet.data.batch_reader import Batch
from mobilenet.distributed.group import ALONE, Group
from mobilenet.network import batchnorm_statistics, weights
from mobilenet.network.architecture import MobileNetV2, parameter_arrays
from mobilenet.runs.checkpoint_folder import Arrays, Checkpoint
from mobilenet.training.ema import MovingAverage
from mobilenet.training.optimizer import Optimizer, norm
from mobilenet.training.step import Answers, PendingOutcome, TrainingStep


@dataclass(frozen=True)
class Start:
    """How a network was given initial weights.

    Attributes:
        random: Names of parameters that keep their random values.
        num_unfolded: Number of BatchNorms that had been folded and were restored.
        warnings: Warnings for the user.
    """

    random: tuple[str, ...] = ()
    num_unfolded: int = 0
    warnings: tuple[str, ...] = ()


class Learner:
    """A network with its optimizer and, optionally, a moving average of its weights.

    Every rank of `group` has one in the same state, and calls the same methods.

    Args:
        network: Initialized on the devices of `step`, in float32 or half precision.
        optimizer: Updates the network's parameters.
        step: Trains the network by `optimizer`.
        ema_decay: Decay of the moving average; None for no average.
        group: The processes that train together.

    Attributes:
        trained: The group of `groups` that is validated and exported.
        start: How the network was given initial weights.
    """

    def __init__(
        self,
        network: MobileNetV2,
        optimizer: Optimizer,
        step: TrainingStep,
        ema_decay: float | None = None,
        group: Group = ALONE,
    ) -> None:
        self._network, self._optimizer, self._step, self._group = network, optimizer, step, group
        arrays = parameter_arrays(network)
        masters = optimizer.masters()
        # Float32 copies of parameters in half precision that do not train.
        self._copies = {
            name: array.astype("float32")
            for name, array in arrays.items()
            if array.dtype != np.float32 and name not in masters
        }
        self._arrays = {**arrays, **masters, **self._copies}
        self._average = None if ema_decay is None else MovingAverage(self._arrays, ema_decay)
        self.trained = "parameters" if ema_decay is None else "average"
        self.start = Start()

    @property
    def parameters(self) -> Arrays:
        """This rank's parameters and running statistics by name, float32, on the first device."""
        return self._arrays

    def trains(self, name: str) -> bool:
        """Whether the parameter `name` has a gradient."""
        return bool(self._network.collect_params()[name].grad_req != "null")

    def set_parameters(self, arrays: Arrays, source: Path) -> None:
        """Sets parameters and running statistics; the moving average starts from them as well.

        Raises:
            WeightsError: They do not fit the network; the message begins with `source`.
        """
        weights.fit(self._network, arrays, source)
        self._optimizer.take_over_weights(arrays)
        for name, array in self._copies.items():
            arrays[name].copyto(array)
        if self._average is not None:
            self._average.restore(self._arrays)

    def restore(self, saved: Checkpoint) -> None:
        """Restores a checkpoint of what `groups` returned.

        Raises:
            WeightsError: It cannot be read or is of another network.
        """
        self._take_over(saved.arrays, saved.path)

    def _take_over(self, arrays_of: Callable[[str], Arrays], source: Path) -> None:
        self.set_parameters(arrays_of("parameters"), source)
        self._optimizer.restore(arrays_of("optimizer"))
        if self._average is not None:
            self._average.restore(arrays_of("average"))

    def share(self) -> None:
        """Gives every rank the state of rank 0."""
        if self._group.size == 1:
            return
        groups = {
            group: {name: array.copy() for name, array in arrays.items()}
            for group, arrays in self.groups().items()
        }
        self._group.broadcast([array for arrays in groups.values() for array in arrays.values()])
        self._take_over(groups.__getitem__, Path("rank 0"))

    def step(
        self, batch: Batch, step: int, learning_rate: float, answers: Answers = None
    ) -> PendingOutcome:
        """Queues training step number `step`, from 0, on this rank's share of the batch.

        `answers` are the teacher's logits, `(N, classes)`.
        """
        queued = self._step(batch.data, batch.labels, step, learning_rate, answers)
        outcome = queued.over(self._group)
        if self._average is not None:
            self._average.update(step, outcome.gradient_norm)
        return outcome

    def groups(self) -> dict[str, Arrays]:
        """The whole state as groups of arrays by name; every rank has to call this."""
        batchnorm_statistics.synchronize(self._network, self._group)
        groups: dict[str, Arrays] = {
            "parameters": self._arrays,
            "optimizer": self._optimizer.state(),
        }
        if self._average is not None:
            batchnorm_statistics.average_over_ranks(self._average.averages, self._group)
            groups["average"] = self._average.averages
        return groups


def is_finite(arrays: Arrays) -> bool:
    """Whether every value is finite."""
    # multi_all_finite writes out of bounds when it is given more than 200 arrays.
    return math.isfinite(norm(arrays.values()).asscalar())
