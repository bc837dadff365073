"""Exports a network to ONNX; the file gets its name only after it has been proven."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Optional

import mxnet as mx
import numpy as np
import numpy.typing as npt
from mxnet.gluon import nn

from mobilenet.complexity import complexity
from mobilenet.errors import WeightsError
from mobilenet.files import replaced
from mobilenet.graphs import symbol_of
from mobilenet.loading import LoadedModel
from mobilenet.model import parameter_arrays
from mobilenet.onnx.graph import GraphOptions
from mobilenet.onnx.metadata import Metadata
from mobilenet.onnx.proof import Difference, prove
from mobilenet.onnx.writer import OPSET, write_model

_DEFAULT = GraphOptions()
_NOTHING = Metadata()


@dataclass(frozen=True)
class ExportResult:
    """A proven file."""

    path: Path
    num_bytes: int
    opset: int
    num_parameters: int
    """Learned parameters of the network; running statistics are not among them."""
    operators: Mapping[str, int]
    """How many nodes of each ONNX operator the file has."""
    difference: Difference
    """From MXNet's outputs."""

    def summary(self) -> str:
        """What was made and how it was proven, in a few lines."""
        operators = ", ".join(f"{count} {name}" for name, count in self.operators.items())
        return (
            f"{self.path}: {self.num_bytes:,} bytes, ONNX opset {self.opset}, "
            f"{self.num_parameters:,} parameters\n"
            f"operators: {operators}\n"
            f"proven: outputs of {self.difference.num_images} images within "
            f"{self.difference.relative:.1e} of MXNet's"
        )


def export(
    model: LoadedModel, output: Optional[Path] = None, options: Optional[GraphOptions] = None
) -> ExportResult:
    """Exports an open model with all that it knows of its preprocessing, classes and origin.

    `output` is by default the model's path with `.onnx`; the options are those of the model.

    Raises:
        UserError: The model is an ONNX file already, or cannot be written with these options.
        VerificationError: The proof failed; there is no file, or the one before is untouched.
    """
    if model.network is None:
        raise WeightsError(f"{model.path}: is an ONNX file already; export takes what it is from")
    transform = model.transform
    options = options or GraphOptions(
        resolution=transform.resolution, normalization=transform.normalization
    )
    return export_network(model.network, output or _beside(model.path), options, _facts(model))


def export_network(
    network: nn.HybridBlock,
    output: Path,
    options: GraphOptions = _DEFAULT,
    metadata: Metadata = _NOTHING,
    images: Optional[npt.NDArray[np.uint8]] = None,
) -> ExportResult:
    """Writes `network` to `output` and proves the file before it gets its name.

    `images` `(N, 3, H, W)`, 0 to 255, are added to the random ones of the proof.

    Raises:
        UserError: The network or its parameters cannot be written with these options.
        VerificationError: The proof failed; there is no file, or the one before is untouched.
    """
    # Inference on CPUs reorders weights in place; read at that moment they would be garbage.
    mx.nd.waitall()
    arrays = {name: array.asnumpy() for name, array in parameter_arrays(network).items()}
    symbol = symbol_of(network)
    model = write_model(symbol, arrays, options, metadata)
    with replaced(output) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
        difference = prove(temporary, network, options, images)
        num_bytes = temporary.stat().st_size
    return ExportResult(
        path=output,
        num_bytes=num_bytes,
        opset=OPSET,
        num_parameters=complexity(symbol, options.resolution or 224).num_parameters,
        operators=Counter(node.op_type for node in model.graph.node),
        difference=difference,
    )


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.onnx") if path.is_dir() else path.with_suffix(".onnx")


def _facts(model: LoadedModel) -> Metadata:
    config, transform = model.config, model.transform
    return Metadata(
        mean=transform.normalization.mean,
        std=transform.normalization.std,
        resolution=transform.resolution,
        transform=transform.name,
        short_side=config.validation.short_side,
        width_multiplier=config.model.width_multiplier,
        dialect=config.model.dialect,
        activation=config.model.activation,
        class_names=model.class_names,
        source=str(model.path),
    )
