"""Runs a network of MXNet by ONNX Runtime, which is faster on the CPU."""

from __future__ import annotations

import tempfile
from pathlib import Path

import mxnet as mx

from mobilenet.network.architecture import MobileNetV2, parameter_arrays
from mobilenet.network.graph_forms import symbol_of
from mobilenet.onnx.graph import GraphOptions
from mobilenet.onnx.metadata import Metadata
from mobilenet.onnx.runtime import OnnxModel
from mobilenet.onnx.writer import write_model


def by_onnx_runtime(
    network: MobileNetV2, threads: int | None = None, gpu: int | None = None
) -> OnnxModel:
    """The network as an ONNX model of any resolution, with logits as its output.

    Args:
        network: Its parameters are copied.
        threads: Number of threads that compute, by default one per processor core.
        gpu: Number of the GPU that computes, if the installed ONNX Runtime can; None for the CPU.
    """
    mx.nd.waitall()
    arrays = {name: array.asnumpy() for name, array in parameter_arrays(network).items()}
    options = GraphOptions(resolution=None)
    model = write_model(symbol_of(network), arrays, options, Metadata())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.onnx")
        path.write_bytes(model.SerializeToString())
        return OnnxModel(path, threads, gpu)
