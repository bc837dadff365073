"""What commands do first that run a model: MXNet as the call needs it, and 8-bit integers."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from mobilenet.commands.arguments import refuse
from mobilenet.compat.environment import allow_all_instructions
from mobilenet.errors import ConfigError
from mobilenet.inference.engines import BFLOAT16, Engine
from mobilenet.inference.naive_engine import load_for_inference


def prepare_mxnet(arguments: Namespace) -> None:
    """Loads MXNet with the instructions and the engine that the call needs."""
    if arguments.int8:
        if arguments.engine == BFLOAT16:
            raise ConfigError(
                "--int8 computes in integers, not in bfloat16: take --engine openvino"
            )
        allow_all_instructions()
    else:
        refuse(arguments, "without --int8", "calibration")
    load_for_inference()


def engine_in_float32(arguments: Namespace) -> Engine | None:
    """The engine that was asked for, unless it is to run the model in int8."""
    engine: Engine | None = None if arguments.int8 else arguments.engine
    return engine


def in_int8_if_asked(arguments: Namespace, model: Any, data: Path | None = None) -> Any:
    """The model, in 8-bit integers if `--int8` was given; by default `data` calibrates it."""
    if not arguments.int8:
        return model
    from mobilenet.inference.int8_model import in_int8

    return in_int8(model, arguments.calibration or data, arguments.engine or "onnxruntime")
