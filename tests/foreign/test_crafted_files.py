"""Crafted files of every kind of weights: no signal, no traceback, no more than 1 GB."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from crafted_weights import write_whole
from crafting import assert_read_or_refused
from onnx import TensorProto, helper, numpy_helper

from mobilenet import cli
from mobilenet.errors import WeightsError
from mobilenet.inference.open_model import open_model

KINDS = ("params", "npz", "safetensors", "onnx")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crafted")
    write_whole(folder)
    return folder


@pytest.mark.parametrize(
    ("count", "seed"), [(40, 0), pytest.param(1000, 1, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("kind", KINDS)
def test_crafted_files_are_read_or_refused(folder: Path, kind: str, count: int, seed: int) -> None:
    assert_read_or_refused("crafted_weights", folder, kind, count, seed)


def refused(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main(["import", str(path), "--output", str(path.with_name("out"))]) == 2
    return capsys.readouterr().err


def test_an_archive_that_grows_beyond_measure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One and a half megabytes of it took 3.2 GB."""
    path = tmp_path / "net.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(300 << 20))
    assert "would unpack from" in refused(path, capsys)


def test_a_header_of_gigabytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "net.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\2\0" + b"\xff" * 4 + b" " * 100)
    assert "not a NumPy archive (.npz), or damaged" in refused(path, capsys)


def classifier(*nodes: onnx.NodeProto, arrays: dict[str, np.ndarray], opset: int = 9) -> bytes:
    """An image classifier of the mean colour, times the scalar `m` that `nodes` give."""
    nodes = (
        *nodes,
        helper.make_node("GlobalAveragePool", ["x"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Mul", ["f", "m"], ["y"]),
    )
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 32, 32])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])
    stored = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "g", [source], [output], stored)
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=4)
    return bytes(model.SerializeToString())


ONES = {"one": np.ones((1, 1), np.float32), "shape": np.full(2, 1 << 15)}
MEAN = helper.make_node("ReduceMean", ["e"], ["m"], axes=[0, 1], keepdims=0)
LARGE = {
    "ConstantOfShape": (helper.make_node("ConstantOfShape", ["shape"], ["e"]), ONES),
    "Expand": (helper.make_node("Expand", ["one", "shape"], ["e"]), ONES),
    "outer product": (
        helper.make_node("Mul", ["a", "b"], ["e"]),
        {"a": np.ones((1 << 15, 1), np.float32), "b": np.ones((1, 1 << 15), np.float32)},
    ),
}


@pytest.mark.parametrize("kind", LARGE)
def test_a_small_graph_of_large_tensors(kind: str, tmp_path: Path) -> None:
    """Each took 4.5 GB."""
    node, arrays = LARGE[kind]
    path = tmp_path / "a.onnx"
    path.write_bytes(classifier(node, MEAN, arrays=arrays))
    with pytest.raises(WeightsError, match="its tensor 'e' of 32768x32768 values is larger than"):
        open_model(path)


def test_a_batch_of_a_thousand_million(tmp_path: Path) -> None:
    model = onnx.ModelProto.FromString(classifier(arrays={"m": np.ones((), np.float32)}))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1 << 30
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(WeightsError, match="takes 1073741824x3x32x32 values at once"):
        open_model(tmp_path / "a.onnx")


@pytest.mark.parametrize("place", ["/dev/zero", "../a.data", "missing.data", ""])
def test_arrays_are_read_from_beside_the_model_alone(place: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for data in (tmp_path / "a.data", folder / "a.data"):
        data.write_bytes(np.float32(2).tobytes())
    model = onnx.ModelProto.FromString(classifier(arrays={"m": np.ones((), np.float32)}))
    (tensor,) = model.graph.initializer
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place)
    path = folder / "a.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(WeightsError, match=f"its arrays are in '{place}', not in a file beside"):
        open_model(path)
    tensor.external_data[0].value = "a.data"
    path.write_bytes(model.SerializeToString())
    logits = open_model(path).predict(np.ones((1, 3, 32, 32), np.float32))
    np.testing.assert_array_equal(logits, [[2, 2, 2]])
