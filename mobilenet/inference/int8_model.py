"""Runs models in int8, and chooses the images for their calibration."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import NamedTuple, Optional

import mxnet as mx
import numpy as np
import numpy.typing as npt

from mobilenet.data.eval_transforms import EvalTransform
from mobilenet.errors import ConfigError, DataError, WeightsError
from mobilenet.inference.engines import Engine
from mobilenet.inference.loaded_model import LoadedModel
from mobilenet.inference.network_as_onnx import network_as_onnx
from mobilenet.inference.other_engines import onnx_by
from mobilenet.metrics import Images, Logits
from mobilenet.network.architecture import MobileNetV2, parameter_arrays
from mobilenet.network.graph_forms import symbol_of
from mobilenet.network.mxnet_int8 import int8_block
from mobilenet.onnx.example_images import example_images
from mobilenet.onnx.int8_quantizer import OPSET, quantized

# More images barely change the ranges: MobileNet v2 1.0 predicts alike with 32, 100 or other 100.
_NUM_IMAGES = 100
_LEAST_IMAGES = 10
# Training images come first, because models are not validated on them.
_RECORD_FILES = ("train.rec", "minival.rec", "val.rec")


class Calibration(NamedTuple):
    """The images on which the ranges of activations are calibrated."""

    path: Path
    """The record file, or the folder of images."""
    pixels: npt.NDArray[np.uint8]
    """`(N, 3, H, W)`, 0 to 255."""

    @property
    def description(self) -> str:
        """Number and source of the images."""
        return f"{len(self.pixels)} images of {self.path.name}"


def calibration_images(path: Path, transform: EvalTransform) -> Calibration:
    """Up to 100 images, spread evenly over a record file or a folder of records or of images.

    Of a folder of records, the training records are taken if there are any.

    Raises:
        DataError: There are fewer than 10, or one cannot be decoded.
    """
    files = [path / name for name in _RECORD_FILES if (path / name).is_file()]
    source = files[0] if files else path
    if not source.exists():
        raise DataError(f"{source}: no such file or folder; int8 needs images to calibrate with")
    pixels = example_images(source, transform, _NUM_IMAGES)
    if len(pixels) < _LEAST_IMAGES:
        raise DataError(
            f"{source} has {len(pixels)} images; int8 needs at least {_LEAST_IMAGES} to calibrate"
        )
    return Calibration(source, pixels)


def in_int8(
    model: LoadedModel, images: Optional[Path] = None, engine: Engine = "mxnet"
) -> LoadedModel:
    """The model computing in int8 on one CPU.

    Args:
        model: From `open_model`, any but an ONNX file.
        images: To calibrate on, at least 10, as for `calibration_images`; by default the model's
            own data.
        engine: MXNet computes by oneDNN; another engine runs what `export --int8` writes.

    Raises:
        WeightsError: The model is an ONNX file.
        ConfigError: The model is configured for other devices than one CPU.
        DataError: There are too few images, or one cannot be decoded.
    """
    network = needed_network(model)
    if model.config.training.devices != ("cpu",):
        raise ConfigError("int8 runs on one CPU; set training.devices=[cpu]")
    path = images or Path(model.config.data.directory)
    calibration = calibration_images(path, model.transform)
    data = model.transform.normalization(calibration.pixels)
    if engine != "mxnet":
        runs = onnx_by(engine, model.path, _quantized(network, data))
        calibrated_on = calibration.description
        return dataclasses.replace(
            model, predict=runs.logits, calibrated_on=calibrated_on, engine=engine
        )
    block = int8_block(symbol_of(network), parameter_arrays(network), data)

    def predict(batch: Images) -> Logits:
        logits: Logits = block(mx.nd.array(batch)).asnumpy()
        return logits

    return dataclasses.replace(model, predict=predict, calibrated_on=calibration.description)


def _quantized(network: MobileNetV2, images: Images) -> bytes:
    """The network as an ONNX file in int8, calibrated on normalised images."""
    with tempfile.TemporaryDirectory() as folder:
        single = Path(folder, "single.onnx")
        single.write_bytes(network_as_onnx(network, OPSET))
        content: bytes = quantized(single, images).SerializeToString()
    return content


def needed_network(model: LoadedModel) -> MobileNetV2:
    """The model's network.

    Raises:
        WeightsError: The model is an ONNX file.
    """
    if model.network is None:
        raise WeightsError(
            f"{model.path} is an ONNX file; int8 needs the run or .params file behind it"
        )
    return model.network
