"""Finds a learning rate: trains a few steps at rates that grow until the loss diverges.

The range test is Smith's ("Cyclical learning rates for training neural networks", 2017, section
3.3), with rates that grow exponentially. The rate that is suggested is a tenth of the one at the
lowest smoothed loss (Howard and Gugger, "Deep learning for coders with fastai and PyTorch", 2020,
chapter 5): it is found more surely than the steepest descent where the loss is noisy, as it is on
small data sets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Callable, Iterable, Iterator

from mobilenet.data.batch_reader import Batch
from mobilenet.errors import VerificationError

LOWEST, HIGHEST = 1e-6, 10.0
_SMOOTHING = 0.9
_DIVERGED = 3.0  # times the lowest smoothed loss
_MIN_STEPS = 10  # before which a loss is taken for divergence, for the first ones are noise

TakeStep = Callable[[Batch, int, float], float]
"""Trains on a batch at the step of that number and with that rate; gives the mean loss."""


@dataclass(frozen=True)
class RangeTest:
    """What a range test saw, step by step.

    Attributes:
        rates: The learning rates, rising.
        losses: The smoothed training loss at each of them.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def best(self) -> float:
        """The rate at the lowest loss."""
        return self.rates[self.losses.index(min(self.losses))]

    @property
    def suggestion(self) -> float:
        """A tenth of the rate at the lowest loss, with two digits."""
        return float(f"{self.best / 10:.1e}")


def range_test(batches: Iterable[Batch], num_steps: int, take_step: TakeStep) -> RangeTest:
    """Trains `num_steps` steps from the lowest rate to the highest, or until the loss diverges.

    Raises:
        VerificationError: The loss is never finite, or never falls.
    """
    growth = (HIGHEST / LOWEST) ** (1 / max(1, num_steps - 1))
    rates = [LOWEST * growth**step for step in range(num_steps)]
    raw = (take_step(batch, step, rate) for step, (batch, rate) in enumerate(zip(batches, rates)))
    losses = tuple(_until_diverged(_smoothed(raw)))
    if not losses or min(losses) == losses[0]:
        raise VerificationError(
            "the loss did not fall at any learning rate; `mobilenet preview` shows the images and"
            " labels that are trained on"
        )
    return RangeTest(tuple(rates[: len(losses)]), losses)


def _smoothed(losses: Iterable[float]) -> Iterator[float]:
    """Means with weights that fall exponentially, corrected for their start (Adam's bias)."""
    mean = 0.0
    for number, loss in enumerate(losses, 1):
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss
        yield mean / (1 - _SMOOTHING**number)


def _until_diverged(losses: Iterable[float]) -> Iterator[float]:
    lowest = math.inf
    for number, loss in enumerate(losses, 1):
        if not math.isfinite(loss) or (number > _MIN_STEPS and loss > _DIVERGED * lowest):
            return
        lowest = min(lowest, loss)
        yield loss
