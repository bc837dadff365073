"""Top-k accuracy and cross-entropy as sums over images, which add up whatever the batches are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mobilenet.errors import VerificationError

Logits = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]


class Counts(NamedTuple):
    """Sums over images; fractions and means are taken from them at the very end."""

    num_images: int = 0
    num_top1: int = 0
    num_top5: int = 0
    loss_sum: float = 0.0
    """Sum of the cross-entropies in nats."""

    def plus(self, other: Counts) -> Counts:
        """The sums over the images of both."""
        return Counts(
            self.num_images + other.num_images,
            self.num_top1 + other.num_top1,
            self.num_top5 + other.num_top5,
            self.loss_sum + other.loss_sum,
        )

    @property
    def top1(self) -> float:
        """Top-1 accuracy as a fraction."""
        return self.num_top1 / self.num_images

    @property
    def top5(self) -> float:
        """Top-5 accuracy as a fraction."""
        return self.num_top5 / self.num_images

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats."""
        return self.loss_sum / self.num_images


def ranks(logits: Logits, labels: Labels) -> npt.NDArray[np.int64]:
    """The place of each label among its `(N, classes)` logits, from 0; ties go to the lower class.

    Raises:
        VerificationError: A logit is not finite, so that no place could be trusted.
    """
    if not np.isfinite(logits).all():
        raise VerificationError("the network's output is not finite: its weights have diverged")
    own = np.take_along_axis(logits, labels[:, None].astype(np.int64), axis=1)
    is_before = np.arange(logits.shape[1]) < labels[:, None]
    ahead = (logits > own) | ((logits == own) & is_before)
    places: npt.NDArray[np.int64] = ahead.sum(axis=1)
    return places


def count(logits: Logits, labels: Labels) -> Counts:
    """The counts of one batch of `(N, classes)` logits.

    Raises:
        VerificationError: A logit is not finite.
    """
    places = ranks(logits, labels)
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    own = shifted[np.arange(len(labels)), labels]
    losses = np.log(np.exp(shifted).sum(axis=1)) - own
    return Counts(
        len(labels), int((places < 1).sum()), int((places < 5).sum()), float(losses.sum())
    )
