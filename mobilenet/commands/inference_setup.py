"""What commands do first that run a model: MXNet as the call needs it, and 8-bit integers."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from mobilenet.commands.arguments import refuse
from mobilenet.compat.environment import allow_all_instructions
from mobilenet.inference.naive_engine import load_for_inference


def prepare_mxnet(arguments: Namespace) -> None:
    """Loads MXNet with the instructions and the engine that the call needs."""
    if arguments.int8:
        refuse(arguments, "with --int8, which MXNet computes", "engine")
        allow_all_instructions()
    else:
        refuse(arguments, "without --int8", "calibration")
    load_for_inference()


def in_int8_if_asked(arguments: Namespace, model: Any, data: Path | None = None) -> Any:
    """The model, in 8-bit integers if `--int8` was given; by default `data` calibrates it."""
    if not arguments.int8:
        return model
    from mobilenet.inference.int8_model import in_int8

    return in_int8(model, arguments.calibration or data)
