"""Tells when the loss shows that the learning rate is too high, and what to do about it."""

from __future__ import annotations

import math
from typing import Sequence

from mobilenet.runs.epoch_record import EpochRecord

REMEDY = "lower schedule.learning_rate; `mobilenet find-rate` suggests one"
_WORSE = 1.1  # than guessing: at a low rate a healthy loss is near that of guessing for long
_MAX_RISE = 1.5  # of an epoch's mean loss; from epoch to epoch it rises by chance, but not so much


def divergence(history: Sequence[EpochRecord], num_classes: int) -> str:
    """A sentence about the newest epoch if it is the first to diverge, or nothing.

    From the second epoch on, the loss diverges if it is a tenth higher than that of equal
    probabilities for all classes, ln(classes), or half as high again as in an earlier epoch.
    """
    if _diverges(history[:-1], num_classes) or not _diverges(history, num_classes):
        return ""
    last = history[-1]
    guessing = math.log(num_classes)
    lowest = min(history[:-1], key=lambda record: record.train_loss)
    found = (
        f"worse than guessing ({guessing:.3f})"
        if last.train_loss > _WORSE * guessing
        else f"after {lowest.train_loss:.3f} in epoch {lowest.epoch}"
    )
    return f"epoch {last.epoch}: the training loss is {last.train_loss:.3f}, {found}: {REMEDY}"


def _diverges(history: Sequence[EpochRecord], num_classes: int) -> bool:
    if len(history) < 2 or num_classes < 2:
        return False
    *earlier, last = (record.train_loss for record in history)
    return last > _WORSE * math.log(num_classes) or last > _MAX_RISE * min(earlier)
