"""Runs a model over batches and counts, whatever computes the logits."""

from __future__ import annotations

from typing import Callable, Iterable

import numpy as np
import numpy.typing as npt

from mobilenet.data.reader import Batch
from mobilenet.metrics import Counts, Logits, count

Predict = Callable[[npt.NDArray[np.float32]], Logits]
"""From images `(N, 3, H, W)`, normalised, to logits `(N, classes)`."""


def evaluate(predict: Predict, batches: Iterable[Batch]) -> Counts:
    """The counts over all `batches`.

    Raises:
        VerificationError: A logit is not finite.
    """
    total = Counts()
    for batch in batches:
        total = total.plus(count(predict(batch.data), batch.labels))
    return total
