"""What the report is made from: the predictions, and what is derived from them once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Callable, Mapping, Sequence

import numpy as np

from mobilenet.metrics import Predictions
from mobilenet.validation.accuracy_statistics import (
    Booleans,
    Calibration,
    ClassCounts,
    Confusion,
    Floats,
    calibration,
    class_counts,
    confusions,
)


@dataclass(frozen=True)
class Report:
    """What every section of the page is made from.

    Attributes:
        title: The model.
        facts: How it was validated, by name.
        predictions: The prediction of every image.
        class_names: `(classes,)`, in label order.
        image: Gives the encoded image at a place, from 0.
        keys: `(N,)`, the file name or record key of each image.
        images_per_second: Speed of the whole validation.
    """

    title: str
    facts: Mapping[str, str]
    predictions: Predictions
    class_names: Sequence[str]
    image: Callable[[int], bytes | memoryview]
    keys: Sequence[int | str]
    images_per_second: float

    def name(self, place: int) -> str:
        """Name of the image at a position: its file, or the key of its record."""
        key = self.keys[place]
        return key if isinstance(key, str) else f"record {key}"

    @cached_property
    def correct(self) -> Booleans:
        """`(N,)`: whether the most probable class is right."""
        return np.equal(self.predictions.ranks, 0)

    @cached_property
    def confidence(self) -> Floats:
        """`(N,)`: the probability of the most probable class."""
        return self.predictions.probabilities[:, 0]

    @cached_property
    def counts(self) -> ClassCounts:
        """Images and right predictions per class."""
        return class_counts(self.predictions.labels, self.correct, len(self.class_names))

    @cached_property
    def calibration(self) -> Calibration:
        """How well the confidence agrees with the accuracy."""
        return calibration(self.confidence, self.correct)

    @cached_property
    def confusions(self) -> list[Confusion]:
        """Pairs of classes that were confused, most frequent first."""
        return confusions(self.predictions.labels, self.predictions.classes[:, 0])
