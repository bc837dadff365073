"""Mistakes with files of weights, and with images and records whose headers say strange things."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Callable

import mxnet as mx
import numpy as np
import onnx
import pytest
from crafted_images import is_frame, segments
from foreign_layouts import torchvision, write_safetensors
from onnx import TensorProto, helper, numpy_helper
from pictures import encoded, photograph
from PIL import Image
from random_networks import random_network
from told import assert_told

from mobilenet.cli import main


def said(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """What the command says, which ends with exit code 2."""
    assert main(list(map(str, words))) == 2
    return capsys.readouterr().err


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def cut_parameters(path: Path) -> None:
    mx.nd.save(str(path), {"a": mx.nd.ones((100,))})
    cut(path)


def cut_archive(path: Path) -> None:
    np.savez(path, a=np.ones(100))
    cut(path)


def other_header(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 2) + b"[]")


def not_finite(path: Path) -> None:
    arrays = torchvision(random_network("paper", 0.1))
    next(iter(arrays.values()))[0] = np.nan
    write_safetensors(path, arrays)


def graph(path: Path, shape: tuple[int, ...], location: str = "") -> None:
    """Adds a constant to images of this shape."""
    constant = numpy_helper.from_array(np.ones((), np.float32), "one")
    if location:
        constant.ClearField("raw_data")
        constant.data_location = TensorProto.EXTERNAL
        constant.external_data.add(key="location", value=location)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    nodes = [helper.make_node("Add", ["x", "one"], ["y"])]
    made = helper.make_graph(nodes, "g", ends[:1], ends[1:], [constant])
    opset = [helper.make_opsetid("", 9)]
    onnx.save(helper.make_model(made, opset_imports=opset, ir_version=4), str(path))


@pytest.mark.parametrize(
    ("situation", "name", "write"),
    [
        ("weights of PyTorch that are pickled", "a.pth", Path.touch),
        ("weights of Keras or TensorFlow", "a.h5", Path.touch),
        ("weights of a kind that is not read", "a.txt", Path.touch),
        (
            "weights of another kind of network",
            "a.npz",
            lambda path: np.savez(path, **{"conv1.weight": np.ones(3)}),
        ),
        ("a .params file that is damaged", "a.params", cut_parameters),
        ("a .npz file that is damaged", "a.npz", cut_archive),
        (
            "a .npz file with Python objects",
            "a.npz",
            lambda path: np.savez(path, a=np.array([{}])),
        ),
        ("a .safetensors file that is cut short", "a.safetensors", Path.touch),
        ("a .safetensors file with another header", "a.safetensors", other_header),
        ("an array with values that are not finite", "a.safetensors", not_finite),
    ],
)
def test_weights_to_import(
    situation: str,
    name: str,
    write: Callable[[Path], object],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(tmp_path / name)
    told = said(capsys, "import", tmp_path / name, "--output", tmp_path / "made")
    assert_told(told, situation)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("situation", "write"),
    [
        ("an .onnx file that is damaged", lambda path: path.write_bytes(b"\x08")),
        ("an .onnx file of another task", lambda path: graph(path, (1, 8))),
        ("an .onnx file of very large images", lambda path: graph(path, (1, 3, 1 << 15, 1 << 15))),
        (
            "an .onnx file whose arrays lie elsewhere",
            lambda path: graph(path, (1, 3, 8, 8), "/dev/zero"),
        ),
    ],
)
def test_models_to_run(
    situation: str,
    write: Callable[[Path], object],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(tmp_path / "a.onnx")
    (tmp_path / "a.jpg").write_bytes(encoded(Image.fromarray(photograph(8, 8)), "JPEG"))
    assert_told(said(capsys, "predict", tmp_path / "a.onnx", tmp_path / "a.jpg"), situation)


def test_sources_that_bring_down_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "images" / "a"
    folder.mkdir(parents=True)
    photo = encoded(Image.fromarray(photograph(48, 64)), "JPEG", progressive=True, subsampling=0)
    parts = segments(photo)
    for i, part in enumerate(parts):
        if is_frame(part):
            parts[i] = part[:5] + struct.pack(">HH", 11_000, 11_000) + part[9:]
    (folder / "a.jpg").write_bytes(b"".join(parts))
    prepare = ("prepare", "--source", tmp_path / "images", "--output", tmp_path / "records")
    assert_told(said(capsys, *prepare), "a JPEG of too many scans")
    (folder / "a.jpg").write_bytes(photo)
    deep = folder.joinpath(*"b" * 150)
    deep.mkdir(parents=True)
    (deep / "b.jpg").write_bytes(photo)
    assert_told(said(capsys, *prepare), "folders in folders without end")
    (folder / "b").rename(tmp_path / "b")
    assert main(list(map(str, prepare))) == 0
    manifest = tmp_path / "records" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"bytes": ', '"bytes": 1' + "0" * 400))
    assert_told(said(capsys, *prepare), "a manifest that was edited")
