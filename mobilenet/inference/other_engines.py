"""Runs models by other engines than MXNet: ONNX files, and networks, which become ONNX files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from mobilenet.compat.environment import num_threads
from mobilenet.errors import UserError
from mobilenet.inference.engines import Engine
from mobilenet.inference.loaded_model import LoadedModel
from mobilenet.inference.network_as_onnx import network_as_onnx
from mobilenet.onnx.openvino_runtime import OpenVinoModel
from mobilenet.onnx.runtime import OnnxModel

LEAST_IMAGES = 64
"""From this number on, one after the other, a network is run by ONNX Runtime in less time than by
MXNet. Writing it as ONNX takes as long as ONNX Runtime gains in some fifty images."""


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
    return OpenVinoModel(path, threads, content, engine == "openvino-bfloat16")


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


def by_fastest(model: LoadedModel, num_images: int = LEAST_IMAGES) -> LoadedModel:
    """The model, by ONNX Runtime if that computes `num_images` images sooner than MXNet.

    ONNX files, models in int8 and networks on GPUs stay as they are.
    """
    on_cpu = all(device.startswith("cpu") for device in model.config.training.devices)
    is_other = model.engine is not None or model.calibrated_on is not None
    if is_other or not on_cpu or num_images < LEAST_IMAGES:
        return model
    try:
        return network_by("onnxruntime", model)
    except UserError:
        # Of weights that are not finite, MXNet's outputs tell what has happened.
        return model
