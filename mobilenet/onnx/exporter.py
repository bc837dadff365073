"""Writes a network as an ONNX file, which gets its name only after it has been verified."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Optional

import mxnet as mx
import numpy as np
import numpy.typing as npt
from mxnet.gluon import nn

from mobilenet.files import replaced
from mobilenet.network.architecture import parameter_arrays
from mobilenet.network.complexity import Complexity, complexity
from mobilenet.network.graph_forms import symbol_of
from mobilenet.onnx.export_verification import Difference, verify_export
from mobilenet.onnx.graph import GraphOptions
from mobilenet.onnx.metadata import Metadata
from mobilenet.onnx.writer import write_model

_DEFAULT = GraphOptions()
_NOTHING = Metadata()
_ANY_RESOLUTION = 224


@dataclass(frozen=True)
class ExportResult:
    """An ONNX file that was written and verified."""

    path: Path
    num_bytes: int
    opset: int
    operators: Mapping[str, int]
    """How many nodes of each ONNX operator the file has."""
    complexity: Complexity
    """Of the network, at the file's resolution or, if it takes any, at 224 pixels."""
    difference: Difference
    """Between the outputs of the file and those of MXNet."""
    images: Optional[Path] = None
    """The real images that were compared, besides random ones; None if there are none."""

    def summary(self) -> str:
        """The file, its operators, and how it was verified, in three lines."""
        operators = ", ".join(f"{count} {name}" for name, count in self.operators.items())
        num_images, same, _, relative, _ = self.difference
        kind = "random images"
        if self.images is not None:
            shown = min(str(self.images), os.path.relpath(self.images), key=len)
            kind = f"images, random and of {shown},"
        return (
            f"{self.path}: ONNX opset {self.opset}, {self.num_bytes:,} bytes, "
            f"{self.complexity.num_parameters:,} parameters\n"
            f"Operators: {operators}\n"
            f"Proof: checked by onnx; on {num_images} {kind} outputs are within "
            f"{relative:.1e} of MXNet's, {same} with the same best class"
        )

    def as_json(self) -> dict[str, Any]:
        """The result as plain JSON."""
        return {
            "path": str(self.path),
            "num_bytes": self.num_bytes,
            "opset": self.opset,
            "operators": dict(self.operators),
            **self.complexity._asdict(),
            "difference": self.difference._asdict(),
            "images": None if self.images is None else str(self.images),
        }


def export_network(
    network: nn.HybridBlock,
    output: Path,
    options: GraphOptions = _DEFAULT,
    metadata: Metadata = _NOTHING,
    images: Optional[npt.NDArray[np.uint8]] = None,
) -> ExportResult:
    """Writes `network` as the ONNX file `output`, which gets its name once it has been verified.

    Args:
        network: Its input is `(N, 3, H, W)`, its output `(N, classes)`.
        output: The file; one that is there is replaced.
        options: Opset, input, output and form of the file.
        metadata: What the file says about itself. Normalization, pixels and output are added from
            `options`. In the form `zoo` a file without metadata, or with random weights, says
            nothing.
        images: uint8 `(N, 3, H, W)`, compared in addition to random ones.

    Raises:
        UserError: The network or its parameters cannot be written with these options.
        VerificationError: The file computes something else than MXNet, or onnx refuses it; an
            older file of this name is untouched.
    """
    # Inference on CPUs reorders weights in place; reading them meanwhile would give garbage.
    mx.nd.waitall()
    arrays = {name: array.asnumpy() for name, array in parameter_arrays(network).items()}
    symbol = symbol_of(network)
    model = write_model(symbol, arrays, options, _completed(metadata, options))
    with replaced(output) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
        difference = verify_export(temporary, network, options, images)
        num_bytes = temporary.stat().st_size
    return ExportResult(
        path=output,
        num_bytes=num_bytes,
        opset=options.opset,
        operators=Counter(node.op_type for node in model.graph.node),
        complexity=complexity(symbol, options.resolution or _ANY_RESOLUTION),
        difference=difference,
    )


def _completed(metadata: Metadata, options: GraphOptions) -> Metadata:
    if options.form == "zoo" and metadata == _NOTHING:
        return metadata  # the model zoo's file has no metadata
    return dataclasses.replace(
        metadata,
        mean=options.normalization.mean,
        std=options.normalization.std,
        pixels=options.pixels,
        output="probabilities" if options.softmax else "logits",
    )
