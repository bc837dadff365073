"""Runs a predictor over batches, and returns counts over all ranks or all predictions."""

from __future__ import annotations

import math
from typing import Iterable

from mobilenet.data.batch_reader import Batch
from mobilenet.distributed.group import ALONE, Group
from mobilenet.errors import DataError
from mobilenet.metrics import Counts, NotFiniteError, Predict, Predictions, joined, score


def evaluate(predict: Predict, batches: Iterable[Batch], group: Group = ALONE) -> Counts:
    """The counts over the `batches` of all ranks of `group`.

    Raises:
        NotFiniteError: A logit of any rank is not finite; all ranks raise it.
    """
    total = Counts()
    for batch in batches:
        if not len(batch.labels):  # this rank may have no images of the last batch
            continue
        try:
            counts = score(predict(batch.data), batch.labels).counts()
        except NotFiniteError:  # the other ranks wait for this one
            counts = Counts(len(batch.labels), loss_sum=math.nan)
        total = total.plus(counts)
    num_images, num_top1, num_top5, loss_sum = group.total(total)
    if not math.isfinite(loss_sum):
        raise NotFiniteError
    return Counts(int(num_images), int(num_top1), int(num_top5), loss_sum)


def collect(predict: Predict, batches: Iterable[Batch]) -> Predictions:
    """The predictions of all images of `batches`, in order.

    Raises:
        NotFiniteError: A logit is not finite.
        DataError: There is no image.
    """
    parts = [score(predict(batch.data), batch.labels) for batch in batches]
    if not parts:
        raise DataError("there is no image to validate on")
    return joined(parts)
