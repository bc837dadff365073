"""Finds a learning rate: trains a few steps at rates that grow until the loss diverges.

The range test is Smith's ("Cyclical learning rates for training neural networks", 2017, section
3.3), with rates that grow exponentially. The rate that is suggested is a tenth of the one at the
lowest smoothed loss (Howard and Gugger, "Deep learning for coders with fastai and PyTorch", 2020,
chapter 5): it is found more surely than the steepest descent where the loss is noisy, as it is on
small data sets.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Callable, Iterable, Sequence, TypeVar

from mobilenet.errors import VerificationError

LOWEST, HIGHEST = 1e-6, 10.0
_SMOOTHING = 0.9
_DIVERGED = 3.0  # times the lowest smoothed loss
_FIRST = 10  # steps whose losses are noise: neither the lowest one nor divergence is among them

T = TypeVar("T")
TakeStep = Callable[[T, int, float], float]
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
        return min(zip(self.losses[_FIRST:], self.rates[_FIRST:]))[1]

    @property
    def suggestion(self) -> float:
        """A tenth of the rate at the lowest loss, with two digits."""
        return float(f"{self.best / 10:.1e}")


def range_test(batches: Iterable[T], num_steps: int, take_step: TakeStep[T]) -> RangeTest:
    """Trains `num_steps` steps from the lowest rate to the highest, or until the loss diverges.

    The first steps, at rates that change nothing, show how much batches differ in their loss.

    Raises:
        VerificationError: The loss does not fall by more than it varies anyway.
    """
    growth = (HIGHEST / LOWEST) ** (1 / max(1, num_steps - 1))
    rates = [LOWEST * growth**step for step in range(num_steps)]
    raw: list[float] = []
    smoothed: list[float] = []
    for step, (batch, rate) in enumerate(zip(batches, rates)):
        raw.append(take_step(batch, step, rate))
        loss = _smoothed(raw)
        later = smoothed[_FIRST:]
        if not math.isfinite(loss) or (later and loss > _DIVERGED * min(later)):
            break
        smoothed.append(loss)
    if len(smoothed) <= _FIRST or min(smoothed[_FIRST:]) > _start(raw):
        raise VerificationError(
            "the loss did not fall at any learning rate; `mobilenet preview` shows the images and"
            " labels that are trained on, and --steps takes more steps"
        )
    return RangeTest(tuple(rates[: len(smoothed)]), tuple(smoothed))


def _smoothed(losses: Sequence[float]) -> float:
    """The mean with weights that fall exponentially, corrected for its start (Adam's bias)."""
    weights = [_SMOOTHING**age for age in range(len(losses))]
    return sum(a * b for a, b in zip(reversed(losses), weights)) / sum(weights)


def _start(losses: Sequence[float]) -> float:
    """The mean loss of the first steps, less twice the standard error of a smoothed loss to it."""
    first = losses[:_FIRST]
    error = statistics.stdev(first) * math.sqrt(1 / _FIRST + (1 - _SMOOTHING) / (1 + _SMOOTHING))
    return statistics.fmean(first) - 2 * error
