"""Validates a model: every record once, in counts, with the evidence for them."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Iterator, Literal

import numpy as np

from mobilenet import files, published_accuracies
from mobilenet.data.batch_reader import EvalReader
from mobilenet.data.eval_transforms import EvalTransform
from mobilenet.data.record_folder import orientation_warning
from mobilenet.data.synset import spoken_names
from mobilenet.errors import ConfigError, DataError
from mobilenet.evaluation import collect
from mobilenet.inference.open_model import LoadedModel
from mobilenet.metrics import Counts, Predict, Predictions
from mobilenet.packing import ilsvrc2012
from mobilenet.progress import say, watched
from mobilenet.validation import statistics, test_time_views
from mobilenet.validation.accuracy_gate import Expectation, check_tolerance
from mobilenet.validation.labelled_images import ValidationSet, open_validation_set
from mobilenet.validation.multilabel import MultiLabelCounts, count, read_label_sets
from mobilenet.validation.report.answers_table import answers_csv
from mobilenet.validation.report.page import Report, page


@dataclass(frozen=True)
class Options:
    """What may be asked of a validation beyond one centre crop of every record.

    Attributes:
        views: What probabilities are averaged over: the image alone, with its mirror image, or
            ten crops of the central square.
        restricted: Only classes that the data have, or that were chosen of them, may be answered,
            as ImageNet-A, -R and -O ask.
        label_sets: JSON file with all right classes of each record.
    """

    views: Literal["one", "flip", "ten-crop"] = "one"
    restricted: bool = False
    label_sets: Path | None = None


@dataclass(frozen=True)
class Validation:
    """The answers of a model to a set of images, and how they came about."""

    model: LoadedModel
    data: ValidationSet
    transform: EvalTransform
    options: Options
    predictions: Predictions
    seconds: float
    any_label: MultiLabelCounts | None

    @cached_property
    def counts(self) -> Counts:
        """Sums over the images."""
        return self.predictions.counts()

    def summary(self) -> str:
        """Top-1 and top-5 in percent with counts and intervals, for people."""
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
            "top1_interval": statistics.wilson_interval(counts.num_top1, counts.num_images),
            "top5_interval": statistics.wilson_interval(counts.num_top5, counts.num_images),
            "loss": counts.loss,
            "calibration_error": statistics.calibration(confidence, correct).error,
            "any_label": self.any_label and self.any_label._asdict(),
            "images_per_second": counts.num_images / self.seconds,
            "model": str(self.model.path),
            "engine": self.model.engine,
            "data": str(self.data.path),
            "int8_calibrated_on": self.model.calibrated_on,
            "transform": described(self.transform),
            "views": self.options.views,
            "restricted": self.options.restricted,
        }


def _accuracy(name: str, num_right: int, num_images: int) -> str:
    low, high = statistics.wilson_interval(num_right, num_images)
    return (
        f"{name} {100 * num_right / num_images:.2f} %  ({num_right} of {num_images};"
        f" 95 % interval {100 * low:.2f} to {100 * high:.2f} %)"
    )


def described(transform: EvalTransform) -> dict[str, Any]:
    """A preprocessing as plain JSON."""
    return {
        "name": transform.name,
        "resolution": transform.resolution,
        "short_side": transform.short_side,
        "mean": list(transform.normalization.mean),
        "std": list(transform.normalization.std),
        "exif_orientation": transform.exif_orientation,
    }


def open_data(model: LoadedModel, path: Path | None) -> ValidationSet:
    """The images at `path`, or the validation records that the model's configuration names.

    Raises:
        DataError: There are none, or not of the model's classes.
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
    """Asks `model` for every image of `data`, by default of its own validation records.

    `data` is a record file, a folder with val.rec or a folder with a folder of images per class.

    Raises:
        DataError: The data are missing, damaged, or have classes that the model has not.
        ConfigError: The preprocessing leaves no room for ten different crops.
        VerificationError: The network's output is not finite.
    """
    options = options or Options()
    images = data if isinstance(data, ValidationSet) else open_data(model, data)
    sets = options.label_sets and read_label_sets(
        options.label_sets, images.labels, len(images.class_names)
    )
    transform, predict = _with_views(model, options.views)
    if options.restricted:
        predict = test_time_views.restricted(predict, images.classes)
    start = time.perf_counter()
    predictions = answers(model, predict, images, transform)
    return Validation(
        model,
        images,
        transform,
        options,
        predictions,
        time.perf_counter() - start,
        count(predictions, sets) if sets else None,
    )


def answers(
    model: LoadedModel, predict: Predict, images: ValidationSet, transform: EvalTransform
) -> Predictions:
    """The answers of `predict` to `images`, in the batches that the model's configuration asks."""
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
        return transform, test_time_views.averaged(model.predict, test_time_views.flips)
    if transform.short_side == transform.resolution:
        raise ConfigError(
            f"ten crops of {transform.resolution} px need a larger short side than"
            f" {transform.short_side} px; set validation.short_side"
        )
    square = dataclasses.replace(transform, resolution=transform.short_side)
    return square, test_time_views.averaged(
        model.predict, test_time_views.ten_crops(transform.resolution)
    )


def published_expectation(
    model: LoadedModel, images: ValidationSet, tolerance: float
) -> Expectation:
    """The published accuracies for the model's dialect, width and resolution.

    Raises:
        ConfigError: Nothing is published for it, or nobody says what it is; or the tolerance is no
            fraction.
        DataError: The images are not the 50,000 that published accuracies are of.
    """
    check_tolerance(tolerance)
    if not model.is_described:
        raise ConfigError(
            f"{model.path}: does not say its dialect and width, by which published accuracies are"
            " found; set model.dialect and model.width_multiplier, or expect one as top1=..."
        )
    if len(images) != ilsvrc2012.NUM_IMAGES["val"]:
        raise DataError(
            f"{images.path}: published accuracies are of the {ilsvrc2012.NUM_IMAGES['val']}"
            f" validation images of ILSVRC2012, not of {len(images)}"
        )
    config = model.config
    size = (config.model.dialect, config.model.width_multiplier, config.data.resolution)
    row = published_accuracies.target(*size)
    return Expectation(row.top1, row.top5, tolerance)


def write_report(validation: Validation, folder: Path) -> None:
    """Writes metrics.json, predictions.csv and report.html into `folder`."""
    data, predictions = validation.data, validation.predictions
    files.write_json(folder / "metrics.json", validation.as_json())
    table = answers_csv(predictions, data.keys, data.class_names)
    files.write_text(folder / "predictions.csv", table)
    report = Report(
        title=validation.model.title,
        facts=dict(_facts(validation)),
        predictions=predictions,
        class_names=spoken_names(data.class_names),
        image=data.image,
        keys=data.keys,
        images_per_second=validation.counts.num_images / validation.seconds,
    )
    files.write_text(folder / "report.html", page(report))


def _facts(validation: Validation) -> Iterator[tuple[str, str]]:
    """The conditions of a validation, and what they leave out."""
    model, data, transform = validation.model, validation.data, validation.transform
    yield "data", str(data.path)
    sizes = f"short side {transform.short_side}, crop {transform.resolution} px"
    yield "preprocessing", f"{transform.name}, {sizes}"
    yield "EXIF orientation", {"ignore": "ignored", "apply": "applied"}[transform.exif_orientation]
    yield "views", validation.options.views
    if model.calibrated_on is not None:
        yield "precision", f"8-bit integers, calibrated on {model.calibrated_on}"
    if validation.options.restricted:
        yield "answers", f"only {len(data.classes)} of {len(data.class_names)} classes"
    if validation.any_label is not None:
        num_images, *num_right = validation.any_label
        top1, top5 = (f"{right / num_images:.2%} ({right} of {num_images})" for right in num_right)
        yield "any right label", f"top-1 {top1}, top-5 {top5}"
    if data.gap:
        yield "not comparable", f"{data.path.name} {data.gap}"
