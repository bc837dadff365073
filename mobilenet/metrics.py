"""Predictions for single images, and accuracy as counts, which are independent of batches."""

from __future__ import annotations

from typing import Callable, NamedTuple, Sequence

import numpy as np
import numpy.typing as npt

from mobilenet.errors import VerificationError

Images = npt.NDArray[np.float32]
Logits = npt.NDArray[np.float32]
Predict = Callable[[Images], Logits]
"""From images `(N, 3, H, W)`, normalised, to logits `(N, classes)`."""
Labels = npt.NDArray[np.int32]
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_NUM_KEPT = 5


class NotFiniteError(VerificationError):
    """A logit is infinite or not a number."""

    def __init__(self) -> None:
        super().__init__("the network's output is not finite: its weights have diverged")


class Counts(NamedTuple):
    """Sums over images, from which accuracies and the mean loss are computed."""

    num_images: int = 0
    num_top1: int = 0
    num_top5: int = 0
    loss_sum: float = 0.0
    """Sum of the cross-entropies in nats."""

    def plus(self, other: Counts) -> Counts:
        """The sum of both."""
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


class Predictions(NamedTuple):
    """The predictions for N labelled images: the K = 5 most probable classes of each."""

    labels: Integers
    """`(N,)`"""
    ranks: Integers
    """`(N,)`: the rank of the label among all classes by probability; 0 is the most probable."""
    losses: Floats
    """`(N,)`: the cross-entropy of each image in nats."""
    classes: Integers
    """`(N, K)`: the most probable classes, best first; K is smaller for fewer than 5 classes."""
    probabilities: Floats
    """`(N, K)`: their probabilities."""

    def counts(self) -> Counts:
        """The sums over the images."""
        num_top1, num_top5 = (int((self.ranks < k).sum()) for k in (1, 5))
        return Counts(len(self.labels), num_top1, num_top5, float(self.losses.sum()))


class Guess(NamedTuple):
    """One of the most probable classes of an image."""

    label: int
    name: str
    probability: float


def guesses(predictions: Predictions, place: int, names: Sequence[str]) -> tuple[Guess, ...]:
    """The most probable classes of the image at `place`, best first; `names` has every class."""
    labels = predictions.classes[place].tolist()
    probabilities = predictions.probabilities[place].tolist()
    return tuple(Guess(k, names[k], p) for k, p in zip(labels, probabilities))


def joined(parts: Sequence[Predictions]) -> Predictions:
    """The predictions of all `parts` in order; there is at least one part."""
    return Predictions(*(np.concatenate(arrays) for arrays in zip(*parts)))


def score(logits: Logits, labels: Labels) -> Predictions:
    """The predictions for logits `(N, classes)`; of equal logits the lower class comes first.

    Raises:
        NotFiniteError: A logit is not finite.
    """
    if not np.isfinite(logits).all():
        raise NotFiniteError
    columns = labels.astype(np.int64)[:, None]
    best = _best(logits, min(_NUM_KEPT, logits.shape[1]))
    log_probabilities = log_softmax(logits)
    return Predictions(
        columns[:, 0],
        _ranks(logits, columns),
        -np.take_along_axis(log_probabilities, columns, axis=1)[:, 0],
        best,
        np.exp(np.take_along_axis(log_probabilities, best, axis=1)),
    )


def _best(logits: Logits, num_best: int) -> Integers:
    # Finding the maximum a few times is faster than a stable sort of all classes.
    rest, best = logits.copy(), np.empty((len(logits), num_best), np.int64)
    for place in range(num_best):
        best[:, place] = rest.argmax(axis=1)
        np.put_along_axis(rest, best[:, place, None], -np.inf, axis=1)
    return best


def _ranks(logits: Logits, columns: Integers) -> Integers:
    own = np.take_along_axis(logits, columns, axis=1)
    comes_first = np.arange(logits.shape[1]) < columns
    ranks: Integers = ((logits > own) | ((logits == own) & comes_first)).sum(axis=1)
    return ranks


def log_softmax(logits: Logits) -> Floats:
    """The logarithms of the softmax probabilities of logits `(N, classes)`, in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    normalised: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return normalised
