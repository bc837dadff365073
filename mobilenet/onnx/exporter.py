"""Writes a network as an ONNX file that gets its name only after it has been proven."""

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
from mobilenet.onnx.graph import GraphOptions
from mobilenet.onnx.metadata import Metadata
from mobilenet.onnx.proof import Difference, prove
from mobilenet.onnx.writer import write_model

_DEFAULT = GraphOptions()
_NOTHING = Metadata()
_ANY_RESOLUTION = 224


@dataclass(frozen=True)
class ExportResult:
    """A proven file."""

    path: Path
    num_bytes: int
    opset: int
    operators: Mapping[str, int]
    """How many nodes of each ONNX operator the file has."""
    complexity: Complexity
    """Of the network, at the file's resolution or, if it takes any, at 224 pixels."""
    difference: Difference
    """From MXNet's outputs."""
    images: Optional[Path] = None
    """Where the real images of the proof are; None if all are random."""

    def summary(self) -> str:
        """What was made and how it was proven, in three lines."""
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
        """The same for machines."""
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
    """Writes `network` to `output` and proves the file before it gets its name.

    `metadata` is completed by what `options` say; without any, or of random weights, the form `zoo`
    has none, as the origin's file.
    `images` `(N, 3, H, W)`, 0 to 255, are added to the random ones of the proof.

    Raises:
        UserError: The network or its parameters cannot be written with these options.
        VerificationError: The proof failed; there is no file, or the one before is untouched.
    """
    # Inference on CPUs reorders weights in place; read at that moment they would be garbage.
    mx.nd.waitall()
    arrays = {name: array.asnumpy() for name, array in parameter_arrays(network).items()}
    symbol = symbol_of(network)
    model = write_model(symbol, arrays, options, _completed(metadata, options))
    with replaced(output) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
        difference = prove(temporary, network, options, images)
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
        return metadata  # the origin's file says nothing of itself
    return dataclasses.replace(
        metadata,
        mean=options.normalization.mean,
        std=options.normalization.std,
        pixels=options.pixels,
        output="probabilities" if options.softmax else "logits",
    )
