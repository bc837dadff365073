"""Softmax cross-entropy against targets that may be smoothed and mixed."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import numpy.typing as npt

from mobilenet.errors import DataError

Labels = npt.NDArray[np.int32]
Targets = npt.NDArray[np.float32]


def one_hot(labels: Labels, classes: int, smoothing: float = 0.0) -> Targets:
    """Target distributions `(N, classes)`: 1 - `smoothing` on the label, the rest on all classes.

    The rest includes the label (Szegedy et al. 2016, section 7).

    Raises:
        DataError: A label is not below `classes`.
    """
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise DataError(
            f"the training records have labels from {labels.min()} to {labels.max()}, but the"
            f" network has {classes} classes: model.classes must be that of the records"
        )
    targets = np.full((len(labels), classes), smoothing / classes, np.float32)
    targets[np.arange(len(labels)), labels] += 1 - smoothing
    return targets


def mixed(targets: Targets, partner: npt.NDArray[np.int64], own: float) -> Targets:
    """`own` times each target plus 1 - `own` times that of its partner, `(N, classes)`."""
    return (own * targets + (1 - own) * targets[partner]).astype(np.float32)


def cross_entropy(logits: mx.nd.NDArray, targets: mx.nd.NDArray) -> mx.nd.NDArray:
    """The cross-entropy of each image in nats, `(N,)`, from logits and targets `(N, classes)`."""
    # Half precision cannot sum a thousand exponentials; float32 logits pass through unchanged.
    log_probabilities = mx.nd.log_softmax(logits.astype("float32"))
    return -(targets * log_probabilities).sum(axis=1)


def num_correct(logits: mx.nd.NDArray, labels: mx.nd.NDArray) -> mx.nd.NDArray:
    """The number of images whose highest logit is that of their label, `(1,)`."""
    # Half precision has no odd numbers above 2048, so it cannot hold the index of the highest
    # logit.
    return (logits.astype("float32").argmax(axis=1) == labels.astype("float32")).sum()
