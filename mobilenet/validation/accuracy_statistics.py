"""Statistics of a validation: confidence intervals, calibration, coverage, confusions, classes.

Accuracies and confidences are fractions. Arrays hold one value per validated image.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]

_Z_95 = 1.959963984540054  # 95 % of the normal distribution is between -z and z


class Interval(NamedTuple):
    """A 95 % confidence interval of a fraction."""

    low: float
    high: float


def wilson_interval(num_successes: int, num_trials: int) -> Interval:
    """Wilson's 95 % score interval of the fraction `num_successes / num_trials`.

    Unlike the textbook interval it stays within 0 and 1, and is not empty at 0 % and 100 %.
    Source: E. B. Wilson, "Probable inference, the law of succession", JASA 22 (1927).

    Raises:
        ValueError: `num_trials` is not above 0, or `num_successes` is not in 0 to `num_trials`.
    """
    if not 0 <= num_successes <= num_trials or num_trials == 0:
        raise ValueError(f"{num_successes} successes in {num_trials} trials have no interval")
    fraction, z2 = num_successes / num_trials, _Z_95**2
    centre = fraction + z2 / (2 * num_trials)
    margin = _Z_95 * math.sqrt((fraction * (1 - fraction) + z2 / (4 * num_trials)) / num_trials)
    scale = 1 + z2 / num_trials
    return Interval(max(0.0, (centre - margin) / scale), min(1.0, (centre + margin) / scale))


class Bin(NamedTuple):
    """The images whose confidence is above `low` and at most `high`.

    `confidence` is their mean confidence; it and `accuracy` are NaN for a bin without images.
    """

    low: float
    high: float
    num_images: int
    confidence: float
    accuracy: float


class Calibration(NamedTuple):
    """How well the confidence agrees with the accuracy.

    `error` is the expected calibration error: the mean of |confidence - accuracy| over the bins,
    weighted by their images.
    """

    error: float
    bins: tuple[Bin, ...]


def calibration(confidence: Floats, correct: Booleans, num_bins: int = 15) -> Calibration:
    """The expected calibration error of one or more images, and its bins.

    Bins are equally wide, open below and closed above; the first one includes confidence 0.
    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 2.
    """
    edges = np.linspace(0, 1, num_bins + 1)
    members = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, num_bins - 1)
    counts = np.bincount(members, minlength=num_bins)
    divisors = np.where(counts > 0, counts, np.nan)
    means, accuracies = (
        np.bincount(members, weights=values, minlength=num_bins) / divisors
        for values in (confidence, correct)
    )
    error = np.nansum(counts * np.abs(means - accuracies)) / len(confidence)
    columns = (edges[:-1], edges[1:], counts, means, accuracies)
    rows = zip(*(column.tolist() for column in columns))
    return Calibration(float(error), tuple(Bin(*row) for row in rows))


class Coverage(NamedTuple):
    """Accuracy on the most confident images, for increasing fractions of all images.

    Attributes:
        fraction: `(K,)`, increasing to 1: the fraction of images that are kept.
        accuracy: `(K,)`: the accuracy on the kept images.
        threshold: `(K,)`, decreasing: the lowest confidence among the kept images.
    """

    fraction: Floats
    accuracy: Floats
    threshold: Floats


def coverage(confidence: Floats, correct: Booleans) -> Coverage:
    """The accuracy if the network rejects images below a confidence, for each that occurs.

    Images with the same confidence are kept or rejected together, so that order does not matter.
    Source: Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks", NIPS 2017.
    """
    order = np.argsort(-confidence, kind="stable")
    thresholds = confidence[order]
    ends = np.append(np.flatnonzero(np.diff(thresholds)), len(order) - 1)
    kept = ends + 1
    accuracy = np.cumsum(correct[order])[ends] / kept
    return Coverage(kept / len(order), accuracy, thresholds[ends])


class Confusion(NamedTuple):
    """`num_images` images of class `label` were predicted to be of class `predicted`."""

    label: int
    predicted: int
    num_images: int


def confusions(labels: Integers, predicted: Integers) -> list[Confusion]:
    """Every confused pair of classes, most frequent first, then by label and prediction."""
    wrong = labels != predicted
    pairs = np.stack([labels[wrong], predicted[wrong]])
    distinct, counts = np.unique(pairs, axis=1, return_counts=True)
    found = map(Confusion, *distinct.tolist(), counts.tolist())
    return sorted(found, key=lambda confusion: -confusion.num_images)


class ClassCounts(NamedTuple):
    """For each class, `(classes,)`: number of images, and of correctly predicted ones."""

    num_images: Integers
    num_correct: Integers


def class_counts(labels: Integers, correct: Booleans, num_classes: int) -> ClassCounts:
    """The number of images of each class, and of correctly predicted ones."""
    return ClassCounts(
        np.bincount(labels, minlength=num_classes),
        np.bincount(labels[correct], minlength=num_classes),
    )


def confusion_matrix(labels: Integers, predicted: Integers, num_classes: int) -> Integers:
    """`(classes, classes)`: how many images of the row's class were taken for the column's."""
    pairs = np.asarray(labels, np.int64) * num_classes + predicted
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


class ClassScores(NamedTuple):
    """Per class, `(classes,)` each, as fractions; NaN where there is nothing to divide by.

    Attributes:
        precision: Of the images that were taken for the class, how many are of it.
        recall: Of the images of the class, how many were taken for it: its top-1 accuracy.
        f1: The harmonic mean of both; 0 where none was right.
    """

    precision: Floats
    recall: Floats
    f1: Floats


def class_scores(matrix: Integers) -> ClassScores:
    """Precision, recall and F1 of every class, from a confusion matrix."""
    right, images, taken = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    columns = ((right, taken), (right, images), (2 * right, images + taken))
    return ClassScores(*(part / np.where(whole > 0, whole, np.nan) for part, whole in columns))
