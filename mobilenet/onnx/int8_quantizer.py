"""Quantizes ONNX files to int8 with ONNX Runtime's quantizer.

Weights are signed, with one scale per output channel: with one scale per layer, MobileNet v2's
depthwise convolutions lose all accuracy. Activations are unsigned, with one scale per layer that
covers the minimum to the maximum found in calibration. The file has ONNX's own operators, with
QuantizeLinear and DequantizeLinear around them, which runtimes fuse.

Sources: R. Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference",
arXiv:1806.08342, sections 3.1 and 5.1; onnxruntime.ai/docs/performance/model-optimizations.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Iterator, Mapping, Optional

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

OPSET = 13
"""The first opset whose DequantizeLinear takes a scale per channel."""

Images = npt.NDArray[Any]


def quantized(source: Path, images: Images) -> onnx.ModelProto:
    """The ONNX file `source` quantized to int8, without its metadata.

    Args:
        source: A file in single precision, of opset 13 or later.
        images: `(N, 3, H, W)` as the file takes them, to calibrate the ranges of activations.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared, result = Path(folder, "prepared.onnx"), Path(folder, "int8.onnx")
        quant_pre_process(source, prepared, skip_optimization=True, skip_symbolic_shape=True)
        single = onnx.load(str(source))
        quantize_static(
            prepared,
            result,
            _Reader(single, images),
            # In steps of 1 / 255 most probabilities would be 0 and many others equal.
            nodes_to_exclude=[node.name for node in single.graph.node if node.op_type == "Softmax"],
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        model = onnx.load(str(result))
    _tidy(model)
    return model


class _Reader(CalibrationDataReader):
    """Gives one batch after the other, and then None.

    If the file's batch size is fixed, the last batch is filled with images from the first ones,
    which does not change the ranges.
    """

    def __init__(self, model: onnx.ModelProto, images: Images) -> None:
        source = model.graph.input[0]
        size = source.type.tensor_type.shape.dim[0].dim_value or 1
        whole = np.arange(-(-len(images) // size) * size) % len(images)
        self._batches: Iterator[Mapping[str, Images]] = (
            {source.name: images[places]} for places in np.split(whole, len(whole) // size)
        )

    def get_next(self) -> Optional[Mapping[str, Images]]:
        return next(self._batches, None)


def _tidy(model: onnx.ModelProto) -> None:
    """Removes what the quantizer leaves behind: metadata, and limits of clips that are gone."""
    graph = model.graph
    used = {name for node in graph.node for name in node.input}
    kept = [node for node in graph.node if node.op_type != "Constant" or node.output[0] in used]
    del graph.node[:], graph.value_info[:], model.metadata_props[:]
    graph.node.extend(kept)
