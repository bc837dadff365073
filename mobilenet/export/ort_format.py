"""Writes an ONNX file in ONNX Runtime's own format (.ort), which its small builds for phones read.

Format: onnxruntime.ai/docs/performance/model-optimizations/ort-format-models.html
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime

from mobilenet import files
from mobilenet.data.eval_transforms import IMAGENET
from mobilenet.errors import UserError, VerificationError, WeightsError
from mobilenet.onnx.example_images import random_images
from mobilenet.onnx.runtime import OnnxModel

SUFFIX = ".ort"
_NUM_IMAGES, _SEED = 8, 0
_DEFAULT_SIZE = (224, 224)
# Of the largest output, as in the proof of the ONNX file.
_TOLERANCE = 1e-4
_ERRORS_ONLY = 3


def write_ort(source: Path, output: Path) -> float:
    """Writes `output` from `source`, if ONNX Runtime computes the same with both.

    The graph is optimized for every processor, not for this one alone, as far as ONNX Runtime
    tells these apart (its level "extended").

    Returns:
        The largest difference on random images, as a fraction of the largest output.

    Raises:
        UserError: `output` does not end in `.ort`.
        WeightsError: `source` is not an ONNX image classifier.
        VerificationError: The outputs differ; there is no new file.
    """
    check_name(output)
    if source.suffix != ".onnx":
        raise WeightsError(f"{source} is not an .onnx file; export the model first")
    model = OnnxModel(source)
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, output.name)
        _convert(source, written)
        difference = _difference(model, OnnxModel(written))
        if not difference <= _TOLERANCE:
            raise VerificationError(
                f"{output}: its outputs differ from those of {source} by {difference:.1e} of the"
                " largest one; it is not written"
            )
        files.write_bytes(output, written.read_bytes())
    return difference


def check_name(output: Path) -> None:
    """Checks that ONNX Runtime would know the format by the name.

    Raises:
        UserError: `output` does not end in `.ort`.
    """
    if output.suffix != SUFFIX:
        raise UserError(f"{output}: ONNX Runtime knows the format by names that end in {SUFFIX}")


def _convert(source: Path, output: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.optimized_model_filepath = str(output)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


def _difference(one: OnnxModel, other: OnnxModel) -> float:
    """The largest difference of outputs, as a fraction of the largest output."""
    height, width = one.resolution or _DEFAULT_SIZE
    pixels = random_images(_NUM_IMAGES, (height, width), _SEED)
    is_normalised = one.metadata.pixels not in ("float", "uint8") and one.dtype == np.float32
    data = IMAGENET(pixels) if is_normalised else pixels.astype(one.dtype)
    outputs = one.predict(data)
    return float(np.abs(other.predict(data) - outputs).max() / np.abs(outputs).max())
