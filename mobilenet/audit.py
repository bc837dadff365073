"""Validates the same weights under other conditions: preprocessings, resolutions, checkpoints.

How a photograph becomes the network's input moves the accuracy by more than most changes of the
recipe do, and published systems do it in different ways; a table shows what each costs.
"""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterable, Iterator, Sequence

import numpy as np

from mobilenet import statistics
from mobilenet.data.transforms import PREPROCESSINGS, EvalTransform
from mobilenet.errors import ConfigError
from mobilenet.loading import LoadedModel
from mobilenet.metrics import Predictions
from mobilenet.validation import answers, described, open_data
from mobilenet.validation_set import ValidationSet


@dataclass(frozen=True)
class Row:
    """The outcome under one preprocessing.

    Attributes:
        transform: The preprocessing.
        predictions: The answers.
        p_value: McNemar's, against the first row.
    """

    transform: EvalTransform
    predictions: Predictions
    p_value: float


@dataclass(frozen=True)
class Audit:
    """The outcomes of one model on the same images; the first is with its own preprocessing."""

    model: Path
    data: Path
    rows: tuple[Row, ...]

    def summary(self) -> str:
        """A table, with each row's difference from the first in percentage points."""
        lines = [f"{'preprocessing':22} {'px':>9}  {'top-1':>7}  {'top-5':>7}  {'points':>7}  p"]
        own = self.rows[0].predictions.counts()
        for row in self.rows:
            counts, transform = row.predictions.counts(), row.transform
            pixels = f"{transform.short_side}/{transform.resolution}"
            difference = 100 * (counts.top1 - own.top1)
            lines.append(
                f"{transform.name:22} {pixels:>9}  {100 * counts.top1:5.2f} %"
                f"  {100 * counts.top5:5.2f} %  {difference:+7.2f}  {row.p_value:.2g}"
            )
        return "\n".join([*lines, f"{own.num_images} images of {self.data}"])

    def as_json(self) -> dict[str, Any]:
        """Everything as plain JSON; accuracies are fractions."""
        rows = [
            {
                "transform": described(row.transform),
                **row.predictions.counts()._asdict(),
                "p_value": row.p_value,
            }
            for row in self.rows
        ]
        return {"model": str(self.model), "data": str(self.data), "rows": rows}


def audit(model: LoadedModel, data: Path | None = None, resolutions: Sequence[int] = ()) -> Audit:
    """Validates `model` under every named preprocessing, or at every one of `resolutions`.

    Raises:
        DataError: The data are missing, damaged, or have classes that the model has not.
        ConfigError: A resolution has no room in the model's own short side.
    """
    images = open_data(model, data)
    own = model.transform
    others = _at(resolutions, own) if resolutions else _named(own)
    transforms = dict.fromkeys([own, *others])
    return Audit(model.path, images.path, tuple(_rows(model, images, transforms)))


def _named(own: EvalTransform) -> Iterator[EvalTransform]:
    for name in PREPROCESSINGS:
        # Some have a fixed short side, which may be too small for the crop.
        with contextlib.suppress(ConfigError):
            yield EvalTransform(name, own.resolution, normalization=own.normalization)


def _at(resolutions: Sequence[int], own: EvalTransform) -> Iterator[EvalTransform]:
    """The preprocessing at other sizes, with the same part of the image in the crop."""
    for resolution in resolutions:
        short_side = -(-own.short_side * resolution // own.resolution)
        is_free = PREPROCESSINGS[own.name].short_side is None
        yield dataclasses.replace(
            own, resolution=resolution, short_side=short_side if is_free else own.short_side
        )


def _rows(
    model: LoadedModel, images: ValidationSet, transforms: Iterable[EvalTransform]
) -> Iterator[Row]:
    first: Predictions | None = None
    for transform in transforms:
        predictions = answers(model, model.predict, images, transform)
        first = first or predictions
        right, other = (answered.ranks == 0 for answered in (first, predictions))
        test = statistics.mcnemar(int(np.sum(right & ~other)), int(np.sum(other & ~right)))
        yield Row(transform, predictions, test.p_value)
