"""Writes a network of MXNet as ONNX in memory, for engines that are faster on the CPU."""

from __future__ import annotations

import mxnet as mx

from mobilenet.network.architecture import MobileNetV2, parameter_arrays
from mobilenet.network.graph_forms import symbol_of
from mobilenet.onnx.graph import OPSET, GraphOptions
from mobilenet.onnx.metadata import Metadata
from mobilenet.onnx.writer import write_model


def network_as_onnx(network: MobileNetV2, opset: int = OPSET) -> bytes:
    """The ONNX file of the network, for any resolution, with logits as its output.

    Raises:
        WeightsError: A parameter is not finite.
    """
    mx.nd.waitall()
    arrays = {name: array.asnumpy() for name, array in parameter_arrays(network).items()}
    options = GraphOptions(resolution=None, opset=opset)
    content: bytes = write_model(
        symbol_of(network), arrays, options, Metadata()
    ).SerializeToString()
    return content
