"""ONNX Runtime's own format: the same outputs, or no file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_network import small_network
from told import assert_told

from mobilenet import cli
from mobilenet.export import ort_format
from mobilenet.export.ort_format import write_ort
from mobilenet.onnx.example_images import random_images
from mobilenet.onnx.runtime import OnnxModel

ZOO = """
model: {width_multiplier: 0.1, classes: 10, dialect: gluoncv}
data: {resolution: 64}
"""
FORMS: dict[str, dict[str, Any]] = {
    "portable": {},
    "zoo": {"text": ZOO, "form": "zoo"},
    "uint8": {"pixels": "uint8", "softmax": True},
    "batches of 3": {"batch": 3, "half_weights": True},
    "any size": {"resolution": None, "pixels": "float"},
    "opset 13": {"opset": 13, "resolution": (32, 64)},
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_has_the_outputs_of_the_onnx_file(name: str, tmp_path: Path) -> None:
    source = small_network(tmp_path / "net.onnx", **FORMS[name])
    difference = write_ort(source, tmp_path / "net.ort")
    one, other = OnnxModel(source), OnnxModel(tmp_path / "net.ort")
    images = random_images(5, one.resolution or (64, 96), 7).astype(one.dtype)
    expected, found = one.predict(images), other.predict(images)
    assert difference <= 1e-4
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    assert (other.class_names, other.metadata.mean) == (one.class_names, one.metadata.mean)
    assert (tmp_path / "net.ort").read_bytes()[4:8] == b"ORTM"


def test_a_file_whose_outputs_differ_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = small_network(tmp_path / "net.onnx")
    (tmp_path / "other").mkdir()
    other = small_network(tmp_path / "other" / "net.onnx", softmax=True)
    convert = ort_format._convert
    monkeypatch.setattr(ort_format, "_convert", lambda _, output: convert(other, output))
    (tmp_path / "net.ort").write_bytes(b"before")
    capsys.readouterr()
    assert cli.main(["export", str(source), "--ort", str(tmp_path / "net.ort")]) == 1
    assert_told(capsys.readouterr().err, "outputs of the ORT format that differ")
    assert (tmp_path / "net.ort").read_bytes() == b"before"


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = small_network(tmp_path / "net.onnx")
    assert cli.main(["export", str(source), "--ort", str(tmp_path / "net.ort")]) == 0
    assert "within " in capsys.readouterr().out
    assert cli.main(["export", str(source), "--ort", str(tmp_path / "net.onn")]) == 2
    assert_told(capsys.readouterr().err, "another name for ONNX Runtime's format")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.onnx", "net.ort"]
