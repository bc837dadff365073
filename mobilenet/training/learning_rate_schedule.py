"""The learning rate as a pure function of the step, so that a resumed run needs no scheduler state.

Steps count optimizer updates from 0 over the whole run. Every schedule rises linearly during its
warm-up to a peak and then follows its shape.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from typing import Callable

Shape = Callable[[int], float]
"""The rate at a step as a fraction of the peak, warm-up apart."""


@dataclass(frozen=True)
class Schedule:
    """The learning rate at every step.

    Attributes:
        peak: Highest rate.
        shape: The factor on the peak after the warm-up.
        num_warmup_steps: Steps in which the rate rises linearly; the last one has the peak rate.
        initial: The rate at which the warm-up starts.
    """

    peak: float
    shape: Shape
    num_warmup_steps: int = 0
    initial: float = 0.0

    def __call__(self, step: int) -> float:
        """The learning rate of the update that follows `step` earlier ones."""
        risen = min(1.0, (step + 1) / self.num_warmup_steps) if self.num_warmup_steps else 1.0
        return (self.initial + risen * (self.peak - self.initial)) * self.shape(step)


@dataclass(frozen=True)
class Span:
    """The steps over which a rate falls, `first` to `end`; before and after it is constant."""

    first: int
    end: int

    def progress(self, step: int) -> float:
        """The fraction of the span, 0 to 1, that is finished at `step`."""
        # A warm-up may be rounded to all steps, which leaves an empty span.
        return min(1.0, max(0.0, (step - self.first) / max(1, self.end - self.first)))


def scaled_rate(learning_rate: float, batch_size: int, reference_batch_size: int | None) -> float:
    """`learning_rate` times batch / reference batch, or unchanged without a reference.

    Source: Goyal et al. 2017, section 2.1, the linear scaling rule.
    """
    return learning_rate * batch_size / (reference_batch_size or batch_size)


def cosine(span: Span, final: float) -> Shape:
    """Half a cosine wave from 1 to `final` (Loshchilov and Hutter 2017, equation 5, no restart)."""
    return lambda step: final + (1 - final) * (1 + math.cos(math.pi * span.progress(step))) / 2


def polynomial(span: Span, final: float, power: float) -> Shape:
    """From 1 to `final` as (1 - progress) to the `power`."""
    return lambda step: final + (1 - final) * (1 - span.progress(step)) ** power


def steps(milestones: tuple[int, ...], factor: float) -> Shape:
    """Multiplied by `factor` at each of the `milestones`, which are increasing step numbers."""
    return lambda step: factor ** bisect.bisect_right(milestones, step)


def exponential(every_steps: float, factor: float) -> Shape:
    """A staircase: multiplied by `factor` once per `every_steps`, as in the MobileNet papers."""
    # 1.1 epochs of 10 steps are 11.000000000000002.
    return lambda step: factor ** math.floor(step / every_steps + 1e-9)


def constant() -> Shape:
    """The peak rate throughout."""
    return lambda step: 1.0  # noqa: ARG005
