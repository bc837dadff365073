"""Programs for phones and boards read the files: OpenVINO, and ncnn by its converter pnnx."""

from __future__ import annotations

import importlib.util
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
    images = random_images(model.batch_size or 3, 64, 2)
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
