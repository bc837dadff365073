"""Writes a classifier of another family than MobileNet as an ONNX file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def write_onnx(path: Path, num_classes: int = 10, size: int | None = 40, seed: int = 0) -> None:
    """A classifier of another family, which says nothing of its preprocessing or classes."""
    random = np.random.default_rng(seed)
    kernel = random.standard_normal((8, 3, 3, 3)).astype(np.float32)
    matrix = random.standard_normal((8, num_classes)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["features"], strides=[2, 2]),
        helper.make_node("Relu", ["features"], ["positive"]),
        helper.make_node("GlobalAveragePool", ["positive"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["scores"]),
    ]
    side = "side" if size is None else size
    graph = helper.make_graph(
        nodes,
        "another",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, side, side])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", num_classes])],
        [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(matrix, "matrix")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=7)
    path.write_bytes(model.SerializeToString())
