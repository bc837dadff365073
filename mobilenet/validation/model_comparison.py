"""Compares two models on the same images: where they agree, and whether one is better.

McNemar's test tells whether the difference of their accuracies is significant.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mobilenet.errors import DataError
from mobilenet.inference.loaded_model import LoadedModel
from mobilenet.metrics import Integers
from mobilenet.validation.mcnemar_test import McNemar, mcnemar
from mobilenet.validation.validate import Validation, validate

_NUM_NAMED = 10


@dataclass(frozen=True)
class Comparison:
    """The validations of two models over the same images."""

    first: Validation
    second: Validation

    @cached_property
    def only_first(self) -> Integers:
        """Positions of the images that only the first model gets right, in order."""
        return self._only(self.first, self.second)

    @cached_property
    def only_second(self) -> Integers:
        """Positions of the images that only the second model gets right, in order."""
        return self._only(self.second, self.first)

    def _only(self, one: Validation, other: Validation) -> Integers:
        return np.flatnonzero((one.predictions.ranks == 0) & (other.predictions.ranks != 0))

    @property
    def num_agreeing(self) -> int:
        """Number of images with the same most probable class in both models, right or wrong."""
        return int(np.sum(self._first_classes(self.first) == self._first_classes(self.second)))

    def _first_classes(self, validation: Validation) -> Integers:
        return validation.predictions.classes[:, 0]

    @cached_property
    def test(self) -> McNemar:
        """McNemar's test of the two top-1 accuracies."""
        return mcnemar(len(self.only_first), len(self.only_second))

    def summary(self) -> str:
        """Both accuracies, their difference with its significance, and where the models agree."""
        counts = (self.first.counts, self.second.counts)
        num_images = counts[0].num_images
        lines = [
            f"{one.model.title}: top-1 {100 * count.top1:.2f} %, top-5 {100 * count.top5:.2f} %"
            for one, count in zip((self.first, self.second), counts)
        ]
        changed = [
            f"right in {one.model.title} only: {_named(self._keys(places))}"
            for one, places in ((self.first, self.only_first), (self.second, self.only_second))
            if len(places)
        ]
        difference = 100 * (counts[1].top1 - counts[0].top1)
        return "\n".join(
            [
                *lines,
                f"difference of top-1 {difference:+.2f} points; right in one only:"
                f" {len(self.only_first)} and {len(self.only_second)} of {num_images};"
                f" McNemar's p = {self.test.p_value:.3g} ({self.test.method}):"
                f" {self.test.verdict}",
                f"the same answer to {self.num_agreeing} images"
                f" ({100 * self.num_agreeing / num_images:.2f} %)",
                *changed,
            ]
        )

    def _keys(self, places: Integers) -> list[int | str]:
        return [self.first.data.keys[place] for place in places.tolist()]

    def as_json(self) -> dict[str, Any]:
        """Everything as plain JSON, with the keys of the images that only one model gets right."""
        return {
            "first": self.first.as_json(),
            "second": self.second.as_json(),
            "num_agreeing": self.num_agreeing,
            "only_first": self._keys(self.only_first),
            "only_second": self._keys(self.only_second),
            "mcnemar": self.test._asdict(),
        }


def _named(keys: list[int | str]) -> str:
    more = len(keys) - _NUM_NAMED
    return ", ".join(map(str, keys[:_NUM_NAMED])) + (f" and {more} more" if more > 0 else "")


def compare(first: LoadedModel, second: LoadedModel, data: Path | None = None) -> Comparison:
    """Validates two models on the same images, each with its own preprocessing.

    Args:
        first: From `open_model`.
        second: Likewise.
        data: As for `validate`; by default what the first model's configuration names.

    Raises:
        DataError: The data are missing or damaged, have classes that a model does not have, or the
            models number their classes differently.
    """
    one = validate(first, data)
    other = validate(second, one.data.path)
    if not np.array_equal(one.data.labels, other.data.labels):
        raise DataError(
            f"{second.path}: numbers its classes in another order than {first.path}, so their"
            " predictions cannot be compared"
        )
    return Comparison(one, other)
