"""Exports a model in 8-bit integers, as a file that gets its name once it is as good as before."""

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
from mobilenet.export.to_onnx import default_output, export, transform_for
from mobilenet.files import replaced
from mobilenet.inference.int8_model import Calibration, calibration_images, needed_network
from mobilenet.inference.open_model import LoadedModel, open_model
from mobilenet.onnx.export_verification import check
from mobilenet.onnx.graph import GraphOptions
from mobilenet.onnx.int8_quantizer import OPSET, quantized
from mobilenet.onnx.metadata import Metadata
from mobilenet.onnx.runtime import OnnxModel
from mobilenet.validation.labelled_images import ValidationSet
from mobilenet.validation.model_comparison import Comparison
from mobilenet.validation.validate import Validation, open_data, validate

IMAGES_PER_LOSS = 75
"""Of so many images one may be lost: top-1 may be lower than in single precision by 4 of 300."""
_LEAST_IMAGES = 50
_SCHEME = "int8 weights per channel, uint8 activations from least to largest"


@dataclass(frozen=True)
class Int8Result:
    """A file in 8-bit integers, compared with single precision on the same images."""

    path: Path
    num_bytes: int
    opset: int
    calibration: str
    """What the ranges of activations are taken from."""
    comparison: Comparison

    def summary(self) -> str:
        """What was made, and the accuracies before and after, in a few lines."""
        return (
            f"{self.path}: int8, ONNX opset {self.opset}, {self.num_bytes:,} bytes, calibrated on "
            f"{self.calibration}\n{self.comparison.summary()}"
        )

    def as_json(self) -> dict[str, Any]:
        """The same for machines."""
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
    """Exports an open model in 8-bit integers, after its accuracy has been compared.

    Args:
        model: Any but an ONNX file.
        output: By default the model's path with `-int8.onnx`.
        options: Of opset 13 or later, and not of the form `zoo`.
        data: Labelled images on which both are compared; by default the model's own.
        calibration: Images that set the ranges (`calibration_images`); by default `data`, of which
            the training images if it has them.

    Raises:
        UserError: The model is an ONNX file, or cannot be written with these options.
        DataError: There are too few images to calibrate with or to compare on.
        VerificationError: Top-1 is lower by more than one of `IMAGES_PER_LOSS`, or another proof
            failed; there is no file, or the one before is untouched.
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
        _annotate(temporary, _accuracy(comparison.second))
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
    """The file of `single` in 8-bit integers, with what it says but for its accuracy."""
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


def _accuracy(validation: Validation) -> Metadata:
    counts = validation.counts
    return Metadata(
        top1_accuracy=counts.top1,
        top5_accuracy=counts.top5,
        num_validated=counts.num_images,
        validated_on=validation.data.path.name,
    )


def _annotate(path: Path, facts: Metadata) -> None:
    """Adds `facts` to what the file at `path` says of itself."""
    model = onnx.load(str(path))
    model.producer_name, model.producer_version = "mobilenet-mxnet", mobilenet.__version__
    properties = {prop.key: prop.value for prop in model.metadata_props}
    del model.metadata_props[:]
    for key, value in sorted({**properties, **facts.properties()}.items()):
        model.metadata_props.add(key=key, value=value)
    path.write_bytes(model.SerializeToString(deterministic=True))
