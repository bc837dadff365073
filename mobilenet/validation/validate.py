"""Validates a model: runs it over every image once and counts correct predictions.

`Options` are variants of the evaluation; `report/` writes a report of the result.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mobilenet.data.batch_reader import EvalReader
from mobilenet.data.eval_transforms import EvalTransform
from mobilenet.data.record_folder import orientation_warning
from mobilenet.errors import ConfigError
from mobilenet.evaluation import collect
from mobilenet.inference.loaded_model import LoadedModel
from mobilenet.metrics import Counts, Images, Integers, Logits, Predict, Predictions
from mobilenet.progress_bar import say, watched
from mobilenet.validation import multi_crop
from mobilenet.validation.accuracy_statistics import calibration, wilson_interval
from mobilenet.validation.labelled_images import ValidationSet, open_validation_set
from mobilenet.validation.multilabel import MultiLabelCounts, count, read_label_sets

# Finite, so that it cannot be taken for the logit of a diverged network; its exponential is 0.
_EXCLUDED_LOGIT = -1e9


@dataclass(frozen=True)
class Options:
    """Variants of the evaluation; by default one centre crop of every image, all classes."""

    views: Literal["one", "flip", "ten-crop"] = "one"
    """Views over which probabilities are averaged: only the image, the image and its mirror image,
    or ten crops of the central square."""
    restricted: bool = False
    """Only classes of the data, or those chosen from them, can be predicted, as for ImageNet-A, -R
    and -O."""
    label_sets: Path | None = None
    """JSON file with all right classes of each record, as for `multilabel.read_label_sets`."""


@dataclass(frozen=True)
class Validation:
    """The predictions of a model for a set of images, and the conditions of the validation.

    Attributes:
        model: The model.
        data: The images and labels.
        transform: The preprocessing.
        options: The variants of the evaluation.
        predictions: For every image, in the order of `data`.
        seconds: Duration of the validation.
        any_label: Counts with several right classes per image, if `options.label_sets` has them.
    """

    model: LoadedModel
    data: ValidationSet
    transform: EvalTransform
    options: Options
    predictions: Predictions
    seconds: float
    any_label: MultiLabelCounts | None

    @cached_property
    def counts(self) -> Counts:
        """Counts over all images."""
        return self.predictions.counts()

    def summary(self) -> str:
        """Top-1 and top-5 accuracy in percent, with counts and 95 % intervals, one per line."""
        counts = self.counts
        lines = [
            _accuracy("top-1", counts.num_top1, counts.num_images),
            _accuracy("top-5", counts.num_top5, counts.num_images),
        ]
        if self.any_label is not None:
            several = self.any_label
            lines.append(_accuracy("top-1, any label", several.num_top1, several.num_images))
            lines.append(_accuracy("top-5, any label", several.num_top5, several.num_images))
        if self.options.restricted:
            num_classes = len(self.data.classes)
            lines.append(f"answers: only {num_classes} of {len(self.data.class_names)} classes")
        if self.model.calibrated_on is not None:
            lines.append(f"int8, calibrated on {self.model.calibrated_on}")
        if self.data.gap:
            lines.append(f"not comparable: {self.data.path} {self.data.gap}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Everything as plain JSON; accuracies are fractions."""
        counts, predictions = self.counts, self.predictions
        confidence, correct = predictions.probabilities[:, 0], np.equal(predictions.ranks, 0)
        return {
            "num_images": counts.num_images,
            "num_missing": self.data.num_missing,
            "top1": counts.top1,
            "top5": counts.top5,
            "num_top1": counts.num_top1,
            "num_top5": counts.num_top5,
            "top1_interval": wilson_interval(counts.num_top1, counts.num_images),
            "top5_interval": wilson_interval(counts.num_top5, counts.num_images),
            "loss": counts.loss,
            "calibration_error": calibration(confidence, correct).error,
            "any_label": self.any_label and self.any_label._asdict(),
            "images_per_second": counts.num_images / self.seconds,
            "model": str(self.model.path),
            "engine": self.model.engine,
            "data": str(self.data.path),
            "int8_calibrated_on": self.model.calibrated_on,
            "transform": transform_as_json(self.transform),
            "views": self.options.views,
            "restricted": self.options.restricted,
        }


def _accuracy(name: str, num_right: int, num_images: int) -> str:
    low, high = wilson_interval(num_right, num_images)
    return (
        f"{name} {100 * num_right / num_images:.2f} %  ({num_right} of {num_images};"
        f" 95 % interval {100 * low:.2f} to {100 * high:.2f} %)"
    )


def transform_as_json(transform: EvalTransform) -> dict[str, Any]:
    """A preprocessing as plain JSON."""
    return {
        "name": transform.name,
        "resolution": transform.resolution,
        "short_side": transform.short_side,
        "mean": list(transform.normalization.mean),
        "std": list(transform.normalization.std),
        "exif_orientation": transform.exif_orientation,
        "crop": None if transform.crop is None else list(transform.crop),
    }


def open_data(model: LoadedModel, path: Path | None) -> ValidationSet:
    """The images at `path`, or the validation records that the model's configuration names.

    Raises:
        DataError: There are none, or their classes are not the model's.
    """
    path = path or Path(model.config.data.directory)
    folder = path if path.is_dir() else path.parent
    warning = orientation_warning(folder, model.transform.exif_orientation)
    if warning:
        say(f"warning: {warning}")
    return open_validation_set(path, model.class_names, model.config.model.classes)


def validate(
    model: LoadedModel, data: Path | ValidationSet | None = None, options: Options | None = None
) -> Validation:
    """Runs `model` over every image of `data` once.

    Args:
        model: From `open_model`.
        data: A record file, a folder with val.rec, or a folder with a folder of images per class;
            by default the validation records in the model's data folder.
        options: By default one centre crop, all classes, one label per image.

    Raises:
        DataError: The data are missing or damaged, an image cannot be decoded, or the data have
            classes that the model does not have. No accuracy over the other images is given, since
            it would not be comparable.
        ConfigError: The short side leaves no room for ten different crops.
        VerificationError: The network's output is not finite.
    """
    options = options or Options()
    images = data if isinstance(data, ValidationSet) else open_data(model, data)
    sets = options.label_sets and read_label_sets(
        options.label_sets, images.labels, len(images.class_names)
    )
    transform, predict = _with_views(model, options.views)
    if options.restricted:
        predict = _restricted(predict, images.classes)
    start = time.perf_counter()
    predictions = collect_predictions(model, predict, images, transform)
    return Validation(
        model,
        images,
        transform,
        options,
        predictions,
        time.perf_counter() - start,
        count(predictions, sets) if sets else None,
    )


def collect_predictions(
    model: LoadedModel, predict: Predict, images: ValidationSet, transform: EvalTransform
) -> Predictions:
    """The predictions of `predict` for `images`, in order, in batches of the model's size."""
    config = model.config
    batch_size, num_workers = config.validation.batch_size, config.data.num_workers
    batches = EvalReader(images, transform, batch_size, num_workers).batches()
    shown = watched(batches, "validating", len(images), lambda batch: len(batch.labels))
    return collect(predict, shown)


def _with_views(model: LoadedModel, name: str) -> tuple[EvalTransform, Predict]:
    transform = model.transform
    if name == "one":
        return transform, model.predict
    if name == "flip":
        return transform, multi_crop.averaged(model.predict, multi_crop.flips)
    if transform.short_side == transform.resolution:
        raise ConfigError(
            f"ten crops of {transform.resolution} px need a larger short side than"
            f" {transform.short_side} px; set validation.short_side"
        )
    square = dataclasses.replace(transform, resolution=transform.short_side, crop=None)
    return square, multi_crop.averaged(model.predict, multi_crop.ten_crops(*transform.size))


def _restricted(predict: Predict, classes: Integers) -> Predict:
    """A predictor that gives probability 0 to all classes but `classes`."""

    def predict_some(images: Images) -> Logits:
        logits = predict(images)
        kept = np.full_like(logits, _EXCLUDED_LOGIT)
        kept[:, classes] = logits[:, classes]
        return kept

    return predict_some
