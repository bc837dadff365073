"""The programs that run models, by their names on the command line."""

from __future__ import annotations

from typing import Literal

Engine = Literal["onnxruntime", "mxnet", "openvino", "openvino-bfloat16"]
BFLOAT16: Engine = "openvino-bfloat16"
NAMES: dict[Engine, str] = {
    "onnxruntime": "ONNX Runtime",
    "mxnet": "MXNet",
    "openvino": "OpenVINO",
    BFLOAT16: "OpenVINO in bfloat16",
}
