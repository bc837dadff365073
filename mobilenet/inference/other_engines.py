"""Runs models by other engines than MXNet: ONNX files, and networks, which become ONNX files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from mobilenet.compat.environment import num_threads
from mobilenet.errors import UserError
from mobilenet.inference.engines import BFLOAT16, Engine
from mobilenet.inference.loaded_model import LoadedModel
from mobilenet.inference.network_as_onnx import network_as_onnx
from mobilenet.onnx.openvino_runtime import OpenVinoModel
from mobilenet.onnx.runtime import OnnxModel


def onnx_by(engine: Engine, path: Path, content: bytes | None = None) -> OnnxModel:
    """An ONNX file that `engine`, any but MXNet, runs by as many threads as MXNet would take.

    Args:
        engine: What runs it.
        path: The file.
        content: As for `OnnxModel`.

    Raises:
        WeightsError: As for `OnnxModel`.
        UserError: As for `OpenVinoModel`.
    """
    # By itself ONNX Runtime takes every core of the machine, whatever a container may use.
    threads = num_threads()
    if engine == "onnxruntime":
        return OnnxModel(path, threads, content=content)
    return OpenVinoModel(path, threads, content, engine == BFLOAT16)


def network_by(engine: Engine, model: LoadedModel) -> LoadedModel:
    """The model with its network run by `engine` on the CPU.

    Raises:
        WeightsError: The weights are not finite.
        UserError: The engine cannot be used here.
    """
    if engine == "mxnet" or model.network is None:
        return model
    runs = onnx_by(engine, model.path, network_as_onnx(model.network))
    return dataclasses.replace(model, predict=runs.logits, engine=engine)


def by_fastest(model: LoadedModel) -> LoadedModel:
    """The model, by ONNX Runtime if that is faster than MXNet, already for a single image.

    `benchmarks/engines.py` compares them from the network to its answers. ONNX files, models in
    int8 and networks on GPUs stay as they are.
    """
    on_cpu = all(device.startswith("cpu") for device in model.config.training.devices)
    is_other = model.engine is not None or model.calibrated_on is not None
    if is_other or not on_cpu:
        return model
    try:
        return network_by("onnxruntime", model)
    except UserError:
        # Of weights that are not finite, MXNet's outputs tell what has happened.
        return model
