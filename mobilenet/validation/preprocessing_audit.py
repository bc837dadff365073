"""Validates the same weights with different preprocessing and at different resolutions.

Preprocessing affects the accuracy more than most changes of a recipe, and differs between published
systems. A table shows the accuracy with each.
"""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterable, Iterator, Sequence

import numpy as np

from mobilenet.data.batch_reader import Batch
from mobilenet.data.eval_transforms import (
    IMAGENET,
    PREPROCESSINGS,
    TENSORFLOW,
    EvalTransform,
    Normalization,
)
from mobilenet.data.mxnet_record_iter import obstacle, record_iter_batches
from mobilenet.data.record_file import RecordFile
from mobilenet.errors import ConfigError
from mobilenet.evaluation import collect
from mobilenet.inference.loaded_model import LoadedModel
from mobilenet.metrics import Predictions
from mobilenet.progress_bar import watched
from mobilenet.validation.labelled_images import ValidationSet
from mobilenet.validation.mcnemar_test import mcnemar
from mobilenet.validation.validate import collect_predictions, open_data, transform_as_json

_RECORD_ITER = "ImageRecordIter"


@dataclass(frozen=True)
class Row:
    """The result with one preprocessing.

    Attributes:
        name: Name of the preprocessing.
        transform: Its sizes and normalisation.
        predictions: For every image.
        p_value: McNemar's test against the first row.
    """

    name: str
    transform: EvalTransform
    predictions: Predictions
    p_value: float


@dataclass(frozen=True)
class Audit:
    """The results of one model on the same images; the first row has the model's preprocessing.

    `note` says which row is missing from the table, and why.
    """

    model: Path
    data: Path
    rows: tuple[Row, ...]
    note: str

    def summary(self) -> str:
        """A table, with each row's difference from the first in percentage points."""
        lines = [f"{'preprocessing':22} {'px':>9}  {'top-1':>7}  {'top-5':>7}  {'points':>7}  p"]
        own = self.rows[0].predictions.counts()
        for row in self.rows:
            counts, transform = row.predictions.counts(), row.transform
            pixels = f"{transform.short_side}/{transform.size_text}"
            difference = 100 * (counts.top1 - own.top1)
            lines.append(
                f"{row.name:22} {pixels:>9}  {100 * counts.top1:5.2f} %"
                f"  {100 * counts.top5:5.2f} %  {difference:+7.2f}  {row.p_value:.2g}"
            )
        lines.append(f"{own.num_images} images of {self.data}")
        return "\n".join([*lines, *filter(None, [self.note])])

    def as_json(self) -> dict[str, Any]:
        """Everything as plain JSON; accuracies are fractions."""
        rows = [
            {
                "transform": {**transform_as_json(row.transform), "name": row.name},
                **row.predictions.counts()._asdict(),
                "p_value": row.p_value,
            }
            for row in self.rows
        ]
        return {"model": str(self.model), "data": str(self.data), "rows": rows, "note": self.note}


def audit(
    model: LoadedModel,
    data: Path | None = None,
    resolutions: Sequence[int] = (),
    normalizations: bool = False,
) -> Audit:
    """Validates `model` with every named preprocessing, or at each of `resolutions`.

    Args:
        model: From `open_model`.
        data: As for `validate`; by default the model's own validation records.
        resolutions: Heights and widths of the input in pixels; by default only the model's own
            resolution, with every preprocessing.
        normalizations: Compare instead the normalisations that published networks use.

    Raises:
        DataError: The data are missing, damaged, or have classes that the model does not have.
        ConfigError: A resolution is larger than the model's own short side, if that is fixed.
    """
    images = open_data(model, data)
    own = model.transform
    if normalizations:
        return Audit(model.path, images.path, tuple(_rows(_by_normalization(model, images))), "")
    others = _at(resolutions, own) if resolutions else _named(own)
    transforms = dict.fromkeys([own, *others])
    outcomes = [
        (t.name, t, collect_predictions(model, model.predict, images, t)) for t in transforms
    ]
    note = "" if resolutions else _record_iter_obstacle(images, own)
    if not resolutions and not note:
        outcomes.append((_RECORD_ITER, own, _record_iter_predictions(model, images)))
    return Audit(model.path, images.path, tuple(_rows(outcomes)), note)


_NORMALIZATIONS = {
    "ImageNet's mean, std": IMAGENET,
    "-1 to 1": TENSORFLOW,
    "0 to 1": Normalization((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "0 to 255": Normalization((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
}


def _by_normalization(
    model: LoadedModel, images: ValidationSet
) -> Iterator[tuple[str, EvalTransform, Predictions]]:
    """The results with each normalisation, the model's own first."""
    own = model.transform
    names = {normalization: name for name, normalization in _NORMALIZATIONS.items()}
    ways = dict.fromkeys([own.normalization, *_NORMALIZATIONS.values()])
    for normalization in ways:
        name = names.get(normalization, "the model's own")
        transform = dataclasses.replace(own, normalization=normalization)
        yield name, transform, collect_predictions(model, model.predict, images, transform)


def _named(own: EvalTransform) -> Iterator[EvalTransform]:
    """Every preprocessing; with and without a margin around the crop if its short side is free."""
    seen = {(PREPROCESSINGS[own.name].resize, own.short_side)}
    for name, how in PREPROCESSINGS.items():
        for short_side in (0, own.resolution) if how.short_side is None else (0,):
            # A fixed short side may be too small for the crop.
            with contextlib.suppress(ConfigError):
                transform = dataclasses.replace(own, name=name, short_side=short_side)
                if (how.resize, transform.short_side) not in seen:
                    seen.add((how.resize, transform.short_side))
                    yield transform


def _at(resolutions: Sequence[int], own: EvalTransform) -> Iterator[EvalTransform]:
    """The preprocessing at other resolutions, with the same ratio of crop to short side."""
    for resolution in resolutions:
        short_side = -(-own.short_side * resolution // own.resolution)
        is_free = PREPROCESSINGS[own.name].short_side is None
        yield dataclasses.replace(
            own,
            resolution=resolution,
            crop=None,
            short_side=short_side if is_free else own.short_side,
        )


def _record_iter_obstacle(images: ValidationSet, own: EvalTransform) -> str:
    if not isinstance(images.files, RecordFile):
        return f"without {_RECORD_ITER}, which reads record files alone"
    problem = obstacle(images.files, own)
    return problem and f"without {_RECORD_ITER}: {problem}"


def _record_iter_predictions(model: LoadedModel, images: ValidationSet) -> Predictions:
    """The predictions in the order of the images, which MXNet may read in another order."""
    assert isinstance(images.files, RecordFile)
    size, order = model.config.validation.batch_size, []

    def labelled(batch: Batch) -> Batch:
        order.append(batch.positions)
        return batch._replace(labels=images.labels[batch.positions].astype(np.int32))

    batches = map(labelled, record_iter_batches(images.files, model.transform, size))
    shown = watched(batches, _RECORD_ITER, len(images), lambda batch: len(batch.labels))
    found = collect(model.predict, shown)
    back = np.argsort(np.concatenate(order))
    return found._replace(**{name: array[back] for name, array in found._asdict().items()})


def _rows(outcomes: Iterable[tuple[str, EvalTransform, Predictions]]) -> Iterator[Row]:
    first: Predictions | None = None
    for name, transform, predictions in outcomes:
        first = first or predictions
        right, other = (answered.ranks == 0 for answered in (first, predictions))
        test = mcnemar(int(np.sum(right & ~other)), int(np.sum(other & ~right)))
        yield Row(name, transform, predictions, test.p_value)
