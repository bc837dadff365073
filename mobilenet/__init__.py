"""MobileNet v2 for MXNet Gluon: training, exact validation and export to ONNX opset 7.

    model = mobilenet.load("gluoncv/mobilenetv2_1.0")   # a name, a run or a file
    model.predict("cat.jpg")
    model.validate("data/imagenet").top1
    model.export("mobilenetv2.onnx")
    run = mobilenet.train("configs/finetune.yaml", data="data/photos", epochs=5)
    net = mobilenet.MobileNetV2(width_multiplier=0.35, classes=6)   # a Gluon block

`load` opens a Model, `train` makes a Run, `prepare` packs images into record files, `weights` lists
the names of published weights. A mistake of the caller raises UserError; VerificationError means
that the work ran and the result failed a check. The command `mobilenet` does the same and more;
docs/ has the manual.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mobilenet.compat.before_mxnet import prepare_for_mxnet

__version__ = "0.1.0"

prepare_for_mxnet()

if TYPE_CHECKING:
    from mobilenet.api.gluon_block import MobileNetV2
    from mobilenet.api.model import Model, load
    from mobilenet.api.records import prepare
    from mobilenet.api.run import Run, train
    from mobilenet.api.weights_table import weights
    from mobilenet.errors import UserError, VerificationError

__all__ = [
    "MobileNetV2",
    "Model",
    "Run",
    "UserError",
    "VerificationError",
    "load",
    "prepare",
    "train",
    "weights",
]

# Loaded when they are first asked for: MXNet alone takes a second.
_MODULES = {
    "MobileNetV2": "api.gluon_block",
    "Model": "api.model",
    "Run": "api.run",
    "UserError": "errors",
    "VerificationError": "errors",
    "load": "api.model",
    "prepare": "api.records",
    "train": "api.run",
    "weights": "api.weights_table",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'mobilenet' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"mobilenet.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
