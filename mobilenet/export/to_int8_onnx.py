"""Exports a model as int8 ONNX, after comparing its accuracy with that of single precision."""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
import onnx

import mobilenet
from mobilenet.errors import DataError, UserError, VerificationError
from mobilenet.export.model_card import accuracy_of
from mobilenet.export.to_onnx import default_output, export, transform_for
from mobilenet.files import replaced
from mobilenet.inference.int8_model import Calibration, calibration_images, needed_network
from mobilenet.inference.loaded_model import LoadedModel
from mobilenet.inference.open_model import open_model
from mobilenet.onnx.export_verification import check
from mobilenet.onnx.graph import GraphOptions
from mobilenet.onnx.int8_quantizer import OPSET, quantized
from mobilenet.onnx.metadata import Metadata
from mobilenet.onnx.runtime import OnnxModel
from mobilenet.onnx.writer import PRODUCER
from mobilenet.validation.labelled_images import ValidationSet
from mobilenet.validation.model_comparison import Comparison
from mobilenet.validation.validate import open_data, validate

IMAGES_PER_LOSS = 75
"""Quantization may cost one correct image out of this many: 4 of 300."""
_LEAST_IMAGES = 50
_SCHEME = "int8 weights per channel, uint8 activations from least to largest"


@dataclass(frozen=True)
class Int8Result:
    """An int8 ONNX file, and its comparison with single precision on the same images."""

    path: Path
    num_bytes: int
    opset: int
    calibration: str
    """The images on which the ranges of activations were calibrated."""
    comparison: Comparison
    """Of single precision (first) with int8 (second)."""

    def summary(self) -> str:
        """The file, and the accuracies before and after quantization, in a few lines."""
        return (
            f"{self.path}: int8, ONNX opset {self.opset}, {self.num_bytes:,} bytes, calibrated on "
            f"{self.calibration}\n{self.comparison.summary()}"
        )

    def as_json(self) -> dict[str, Any]:
        """The result as plain JSON."""
        return {
            "path": str(self.path),
            "num_bytes": self.num_bytes,
            "opset": self.opset,
            "calibrated_on": self.calibration,
            "comparison": self.comparison.as_json(),
        }


def export_int8(
    model: LoadedModel,
    output: Optional[Path],
    options: GraphOptions,
    data: Optional[Path] = None,
    calibration: Optional[Path] = None,
) -> Int8Result:
    """Exports a model as int8 ONNX, which gets its name if it loses hardly any accuracy.

    Args:
        model: From `open_model`, any but an ONNX file.
        output: By default the model's path with `-int8.onnx`.
        options: Opset 13 or later, form `portable`, no half precision.
        data: At least 50 labelled images to compare on; by default the model's validation records.
        calibration: Images as for `calibration_images`; by default `data`, preferably its training
            images.

    Raises:
        WeightsError: The model is an ONNX file.
        UserError: The model cannot be written with these options.
        DataError: There are too few images.
        VerificationError: Top-1 is lower by more than one in `IMAGES_PER_LOSS` images, or an export
            could not be verified; an older file is untouched.
    """
    needed_network(model)
    _check_options(options)
    output = output or default_output(model, "-int8.onnx")
    judged = _enough(open_data(model, data))
    source = calibration or data or Path(model.config.data.directory)
    images = calibration_images(source, transform_for(model.transform, options))
    with tempfile.TemporaryDirectory() as folder, replaced(output) as temporary:
        before = open_model(export(model, Path(folder, "single.onnx"), options).path)
        _write(before, images, temporary)
        models = (_called(before, model.path), _called(open_model(temporary), output))
        comparison = Comparison(*(validate(one, judged) for one in models))
        _judge(comparison)
        _annotate(temporary, accuracy_of(comparison.second))
        check(temporary)
        num_bytes = temporary.stat().st_size
    return Int8Result(output, num_bytes, options.opset, images.description, comparison)


def _check_options(options: GraphOptions) -> None:
    if options.opset < OPSET:
        raise UserError(f"int8 needs opset {OPSET} or later, not {options.opset}")
    if options.form != "portable" or options.half_weights:
        raise UserError(
            "int8 needs the form 'portable', and weights that are not in half precision"
        )


def _enough(images: ValidationSet) -> ValidationSet:
    if len(images) < _LEAST_IMAGES:
        raise DataError(
            f"{images.path} has {len(images)} images; int8 is compared on at least {_LEAST_IMAGES}"
        )
    return images


def _write(single: LoadedModel, images: Calibration, path: Path) -> None:
    """Writes the int8 file of `single`, with its metadata except for the accuracy."""
    model = OnnxModel(single.path)
    normalised = single.transform.normalization(images.pixels)
    data = images.pixels if model.dtype == np.uint8 else normalised
    path.write_bytes(quantized(single.path, data).SerializeToString(deterministic=True))
    facts = dataclasses.replace(
        model.metadata,
        quantization=_SCHEME,
        calibrated_on=images.description,
        top1_accuracy=None,
        top5_accuracy=None,
        num_validated=None,
        validated_on=None,
    )
    _annotate(path, facts)


def _called(model: LoadedModel, path: Path) -> LoadedModel:
    return dataclasses.replace(model, path=path)


def _judge(comparison: Comparison) -> None:
    before, after = comparison.first.counts, comparison.second.counts
    most = max(1, after.num_images // IMAGES_PER_LOSS)
    if before.num_top1 - after.num_top1 > most:
        raise VerificationError(
            f"int8 is right on {after.num_top1} of {after.num_images} images and single precision"
            f" on {before.num_top1}; at most {most} may be lost"
        )


def _annotate(path: Path, facts: Metadata) -> None:
    """Adds `facts` to the metadata of the file at `path`."""
    model = onnx.load(str(path))
    model.producer_name, model.producer_version = PRODUCER, mobilenet.__version__
    properties = {prop.key: prop.value for prop in model.metadata_props}
    del model.metadata_props[:]
    for key, value in sorted({**properties, **facts.properties()}.items()):
        model.metadata_props.add(key=key, value=value)
    path.write_bytes(model.SerializeToString(deterministic=True))
