"""Programs of others read the files: MXNet's own importer, OpenCV, an old ONNX Runtime."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import pytest
from random_networks import random_network

from mobilenet.data.eval_transforms import IMAGENET
from mobilenet.network.architecture import MobileNetV2
from mobilenet.onnx.example_images import random_images
from mobilenet.onnx.exporter import export_network
from mobilenet.onnx.graph import GraphOptions
from mobilenet.onnx.runtime import OnnxModel

SMALL = GraphOptions(resolution=64)
READ_BY_MXNET = [
    {},
    {"resolution": None},
    {"softmax": True},
    {"pixels": "float"},
    {"form": "zoo"},
    {"form": "zoo", "batch": 3},
]
OPSET_7 = [*READ_BY_MXNET, {"pixels": "uint8"}, {"half_weights": True}]
OLD = "MOBILENET_OLD_PYTHON"
PROGRAM = """
import sys, numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
numpy.save(sys.argv[3], session.run(None, {"data": numpy.load(sys.argv[2])})[0])
"""


@pytest.fixture(scope="module")
def origin() -> MobileNetV2:
    return random_network("origin")


def exported(network: MobileNetV2, chosen: dict[str, object], path: Path) -> np.ndarray:
    """Writes the file, and gives images as it takes them."""
    options = dataclasses.replace(SMALL, **chosen)
    export_network(network, path, options)
    images = random_images(3, 64, 2)
    if options.pixels == "uint8":
        return images
    is_float = options.pixels == "float"
    return images.astype(np.float32) if is_float else IMAGENET(images)


def assert_close(given: np.ndarray, expected: np.ndarray) -> None:
    assert given.shape == expected.shape
    assert np.abs(given - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize(
    "chosen",
    [
        pytest.param(chosen, marks=[pytest.mark.slow] if "form" in chosen else [])
        for chosen in READ_BY_MXNET
    ],
    ids=str,
)
def test_mxnets_own_importer_reads_the_file(
    chosen: dict[str, object], origin: MobileNetV2, tmp_path: Path
) -> None:
    from mxnet.contrib.onnx.onnx2mx.import_model import import_model  # noqa: PLC0415

    path = tmp_path / "a.onnx"
    data = exported(origin, chosen, path)
    symbol, arguments, statistics = import_model(str(path))
    arguments["data"] = mx.nd.array(data)
    executor = symbol.bind(mx.cpu(), arguments, aux_states=statistics)
    assert_close(executor.forward()[0].asnumpy(), OnnxModel(path).predict(data))


def test_opencv_reads_weights_in_half_precision(origin: MobileNetV2, tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    data = exported(origin, {"half_weights": True}, path)
    opencv = cv2.dnn.readNetFromONNX(str(path))
    opencv.setInput(data)
    assert_close(opencv.forward(), OnnxModel(path).predict(data))


@pytest.mark.slow
@pytest.mark.parametrize("chosen", OPSET_7, ids=str)
def test_an_old_onnxruntime_reads_the_file(
    chosen: dict[str, object], origin: MobileNetV2, tmp_path: Path
) -> None:
    """Any release will do; 1.0.0, with Python 3.7, is the oldest that was tried."""
    if OLD not in os.environ:
        pytest.skip(f"needs a Python with an old onnxruntime, named by ${OLD}")
    path, inputs, outputs = (tmp_path / name for name in ("a.onnx", "in.npy", "out.npy"))
    data = exported(origin, chosen, path)
    np.save(inputs, data)
    call = [os.environ[OLD], "-c", PROGRAM, *map(str, (path, inputs, outputs))]
    done = subprocess.run(call, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert_close(np.load(outputs), OnnxModel(path).predict(data))
