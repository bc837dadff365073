"""Programs for phones and boards read the files: OpenVINO, ncnn by pnnx, TFLite by onnx2tf."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_network import small_network

from mobilenet.onnx.example_images import random_images
from mobilenet.onnx.runtime import OnnxModel

ZOO = """
model: {width_multiplier: 0.1, classes: 10, dialect: gluoncv}
data: {resolution: 64}
"""
READ_BY_BOTH: dict[str, dict[str, Any]] = {
    "portable": {},
    "fixed batch": {"batch": 1},
    "any size": {"resolution": None},
    "softmax": {"softmax": True},
    "float pixels": {"pixels": "float"},
    "half": {"half_weights": True},
    "opset 8": {"opset": 8},
    "opset 13": {"opset": 13},
    "opset 21": {"opset": 21},
    "zoo": {"text": ZOO, "form": "zoo"},
    "zoo, fixed batch": {"text": ZOO, "form": "zoo", "batch": 1},
}
UINT8 = {"pixels": "uint8"}


def exported(options: dict[str, Any], folder: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    """A file, images as it takes them, and its outputs in ONNX Runtime."""
    path = small_network(folder / "net.onnx", **options)
    model = OnnxModel(path)
    images = random_images(model.batch_size or 3, model.resolution or 64, 2)
    if "pixels" in options:
        data = images.astype(model.dtype)
    else:
        data = ((images.astype(np.float32) - 127) / 60).astype(np.float32)
    return path, data, model.predict(data)


def assert_close(given: np.ndarray, expected: np.ndarray) -> None:
    assert given.shape == expected.shape
    assert np.abs(given - expected).max() <= 1e-4 * np.abs(expected).max()
    assert (given.argmax(axis=1) == expected.argmax(axis=1)).all()


@pytest.mark.parametrize("name", [*READ_BY_BOTH, "uint8"])
def test_openvino_reads_the_file(name: str, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino", reason="needs pip install openvino")
    path, data, expected = exported(READ_BY_BOTH.get(name, UINT8), tmp_path)
    # By default it computes in half precision where the processor does so faster.
    single = {"INFERENCE_PRECISION_HINT": "f32"}
    assert_close(openvino.Core().compile_model(str(path), "CPU", single)(data)[0], expected)


@pytest.fixture
def pnnx() -> Path:
    """The program pnnx itself: its Python module wants PyTorch."""
    pytest.importorskip("ncnn", reason="needs pip install ncnn")
    spec = importlib.util.find_spec("pnnx")
    if spec is None or spec.origin is None:
        pytest.skip("needs pip install --no-deps pnnx")
    return Path(spec.origin).with_name("pnnx")


def converted(pnnx: Path, path: Path, data: np.ndarray) -> Any:
    """What ncnn loads of pnnx's conversion; None if it refuses that."""
    import ncnn  # noqa: PLC0415

    shape = f"inputshape=[1,3,64,64]{'u8' if data.dtype == np.uint8 else ''}"
    call = [str(pnnx), path.name, shape, "fp16=0"]
    subprocess.run(call, cwd=path.parent, check=True, capture_output=True, timeout=100)
    net = ncnn.Net()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    if net.load_param(str(path.with_name("net.ncnn.param"))) != 0:
        return None
    assert net.load_model(str(path.with_name("net.ncnn.bin"))) == 0
    return net


@pytest.mark.parametrize("name", READ_BY_BOTH)
def test_ncnn_reads_the_file(name: str, pnnx: Path, tmp_path: Path) -> None:
    path, data, expected = exported(READ_BY_BOTH[name], tmp_path)
    net, outputs = converted(pnnx, path, data), []
    import ncnn  # noqa: PLC0415

    for image in data:
        extractor = net.create_extractor()
        extractor.input("in0", ncnn.Mat(np.ascontiguousarray(image)).clone())
        outputs.append(np.array(extractor.extract("out0")[1]).reshape(-1))
    assert_close(np.stack(outputs), expected)


def test_ncnn_refuses_uint8(pnnx: Path, tmp_path: Path) -> None:
    """The day it does not, the table in docs/onnx.md has to say so."""
    path, data, _ = exported(UINT8, tmp_path)
    assert converted(pnnx, path, data) is None


ONNX2TF = "MOBILENET_ONNX2TF_PYTHON"
RUN_TFLITE = """
import sys, numpy
from ai_edge_litert.interpreter import Interpreter
network = Interpreter(sys.argv[1])
network.allocate_tensors()
given, found = network.get_input_details()[0], network.get_output_details()[0]
network.set_tensor(given["index"], numpy.load(sys.argv[2]).transpose(0, 2, 3, 1))
network.invoke()
numpy.save(sys.argv[3], network.get_tensor(found["index"]))
"""
READ_BY_TFLITE: dict[str, dict[str, Any]] = {
    "portable": {"batch": 1},
    "opset 13, softmax": {"batch": 1, "opset": 13, "softmax": True},
    "float pixels": {"batch": 1, "pixels": "float"},
    "gluoncv": {"batch": 1, "text": ZOO},
    "odd size": {"batch": 1, "text": ZOO, "resolution": 65},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", READ_BY_TFLITE)
def test_tensorflow_lite_runs_what_onnx2tf_makes(name: str, tmp_path: Path) -> None:
    """Of a fixed batch: with `-b 1` onnx2tf 1.29 makes a wrong network of one of any batch."""
    if ONNX2TF not in os.environ:
        pytest.skip(f"needs a Python with onnx2tf and ai-edge-litert, named by ${ONNX2TF}")
    path, data, expected = exported(READ_BY_TFLITE[name], tmp_path)
    # onnx2tf tries its network on these images, and would download them.
    images = np.random.default_rng(0).random((20, 128, 128, 3), np.float32)
    np.save(tmp_path / "calibration_image_sample_data_20x128x128x3_float32.npy", images)
    np.save(tmp_path / "in.npy", data)
    python = Path(os.environ[ONNX2TF])
    environment = {"PATH": f"{python.parent}:{os.environ['PATH']}"}
    for call in (
        ["-m", "onnx2tf", "-i", path.name, "-o", "tf", "-n"],
        ["-c", RUN_TFLITE, "tf/net_float32.tflite", "in.npy", "out.npy"],
    ):
        done = subprocess.run(
            [str(python), *call], cwd=tmp_path, env=environment, check=False,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
    assert_close(np.load(tmp_path / "out.npy"), expected)
