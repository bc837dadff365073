"""`mobilenet import` as a command: what it makes, and what mistakes and hostile files lead to."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Callable

import mxnet as mx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mobilenet import cli
from mobilenet.inference.open_model import open_model
from mobilenet.network.architecture import DIALECTS, MobileNetV2, parameter_arrays
from mobilenet.onnx.exporter import export_network
from mobilenet.onnx.graph import GraphOptions
from mobilenet.onnx.metadata import Metadata

GIB = 1 << 30


@pytest.fixture(scope="module")
def network() -> MobileNetV2:
    network = MobileNetV2(0.1, 4, DIALECTS["paper"])
    network.initialize(mx.init.MSRAPrelu())
    return network


@pytest.fixture(scope="module")
def arrays(network: MobileNetV2) -> dict[str, np.ndarray]:
    """The arrays of `network` as torchvision names them."""
    mx.nd.waitall()
    kinds = {"gamma": "weight", "beta": "bias"}
    result = {}
    units: list[str] = []
    for name, array in parameter_arrays(network).items():
        unit, _, kind = name.rpartition("_norm_")
        if name.startswith("classifier"):
            result[f"classifier.1.{name.rpartition('_')[2]}"] = array.asnumpy()
        elif not unit:
            units.append(name.removesuffix("_conv_weight"))
            result[f"{place(units)[0]}.weight"] = array.asnumpy()
        else:
            result[f"{place(units)[1]}.{kinds.get(kind, kind)}"] = array.asnumpy()
    return result


def place(units: list[str]) -> tuple[str, str]:
    """torchvision's names of the last of the `units`: its convolution's and its BatchNorm's."""
    block, _, part = units[-1].rpartition("_")
    if not block:
        index = {"stem": 0, "head": 18}[part]
        return f"features.{index}.0", f"features.{index}.1"
    number = len({unit.rpartition("_")[0] for unit in units if "block" in unit})
    position = len([unit for unit in units if unit.startswith(f"{block}_")]) - 1
    parent = f"features.{number}.conv"
    if part == "project":
        return f"{parent}.{position}", f"{parent}.{position + 1}"
    return f"{parent}.{position}.0", f"{parent}.{position}.1"


def run(*arguments: object) -> int:
    return cli.main(["import", *map(str, arguments)])


def test_what_is_made_opens_at_once(
    arrays: dict[str, np.ndarray],
    network: MobileNetV2,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.savez(tmp_path / "net.npz", **arrays)
    output = tmp_path / "new" / "net_0.1"  # what follows the dot is part of the name
    assert run(tmp_path / "net.npz", "--output", output, "--json", tmp_path / "r.json") == 0
    assert sorted(p.name for p in output.parent.iterdir()) == ["net_0.1.params", "net_0.1.yaml"]
    printed = capsys.readouterr().out
    assert "width 0.1 in the dialect 'paper', 4 classes, relu6" in printed
    assert "ReLU6 in all networks of this layout" in printed
    assert json.loads((tmp_path / "r.json").read_text())["model"]["width_multiplier"] == 0.1
    model = open_model(output.with_name("net_0.1.params"), output.with_name("net_0.1.yaml"))
    given = parameter_arrays(model.network)
    for name, array in parameter_arrays(network).items():
        assert (given[name].asnumpy() == array.asnumpy()).all()


def refused(path: Path, capsys: pytest.CaptureFixture[str], output: Path | None = None) -> str:
    """The sentence with which the file is refused; nothing is left behind."""
    before = sorted(path.parent.rglob("*"))
    assert run(path, "--output", output or path.parent / "made") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.isprintable() or captured.err.strip().isprintable()
    assert sorted(path.parent.rglob("*")) == before
    return captured.err


def changed(arrays: dict[str, np.ndarray], kind: str) -> dict[str, np.ndarray]:
    arrays = dict(arrays)
    stem, bias = "features.0.0.weight", "classifier.1.bias"
    depthwise = "features.3.conv.1.0.weight"
    changes: dict[str, Callable[[], object]] = {
        "missing": lambda: [arrays.pop(bias), arrays.pop(stem)],
        "left over": lambda: arrays.update({"../../evil\n": arrays[bias]}),
        "of another shape": lambda: arrays.update({depthwise: np.ones((5, 1, 3, 3))}),
        "not finite": lambda: arrays.update({bias: np.array([1, 2, np.nan, np.inf])}),
        "int64": lambda: arrays.update({bias: np.arange(4)}),
        "no array has a name": lambda: [arrays.clear(), arrays.update(a=np.ones(3))],
        "never unpickled": lambda: arrays.update({bias: np.array([object()])}),
    }
    changes[kind]()
    return arrays


def test_class_names_make_the_round_trip(network: MobileNetV2, tmp_path: Path) -> None:
    names = ("n00000001 cat", "dog", "Füße", "n00000002 a, b")
    output, weights = tmp_path / "back", tmp_path / "back.params"
    for given in (names, (), names[:3]):  # the last ones cannot be those of four classes
        facts = Metadata(class_names=given)
        path = export_network(network, tmp_path / "a.onnx", GraphOptions(), facts).path
        assert run(path, "--output", output) == 0
        assert open_model(weights, tmp_path / "back.yaml").class_names == (
            given if len(given) == 4 else ()
        )


MISFITS = {
    "missing": "missing: classifier.1.bias, features.0.0.weight",
    "left over": "left over: ../../evil\\n",
    "of another shape": "stage2_block1_depthwise_conv_weight is (5, 1, 3, 3) instead of (",
    "not finite": "classifier_bias has 2 values that are not finite, the first at [2]",
    "int64": "classifier_bias is of int64; floats would be right",
    "no array has a name": "the names are a",
    "never unpickled": "'classifier.1.bias' holds Python objects",
}


@pytest.mark.parametrize("kind", MISFITS)
def test_arrays_that_do_not_fit_are_named(
    kind: str,
    arrays: dict[str, np.ndarray],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.savez(tmp_path / "net.npz", **changed(arrays, kind))
    message = refused(tmp_path / "net.npz", capsys)
    assert kind in message
    assert MISFITS[kind] in message


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("/tmp/unpickled-by-mobilenet-import",))


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin"])
def test_nothing_is_unpickled(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"net{suffix}"
    path.write_bytes(pickle.dumps(Bomb()))
    assert "safetensors.torch.save_file" in refused(path, capsys)
    assert not Path("/tmp/unpickled-by-mobilenet-import").exists()


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("net.h5", "numpy.savez"),
        ("net.tar.gz", "unpack it"),
        ("net.txt", "not one of the kinds .params, .onnx, .safetensors, .npz"),
        ("missing.onnx", "no such file"),
    ],
)
def test_other_files_are_told_how_to_come_in(
    name: str, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not name.startswith("missing"):
        (tmp_path / name).write_bytes(b"x")
    assert what in refused(tmp_path / name, capsys)


def safetensors(header: bytes, content: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + content


def entry(**changes: object) -> bytes:
    whole = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}
    return json.dumps({"conv_stem.weight": whole}).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\1\2",
        safetensors(b"{}", length=2**63),
        safetensors(b"{}", length=GIB),
        safetensors(b"[1]"),
        safetensors(b"[" * 100_000),
        safetensors(b"\xff\xfe"),
        safetensors(entry()),
        safetensors(entry(data_offsets=[0, 2**62]), bytes(8)),
        safetensors(entry(shape=[-1, -2]), bytes(8)),
        safetensors(entry(shape=[2**40]), bytes(8)),
        safetensors(entry(dtype="F7"), bytes(8)),
        safetensors(entry(shape="ab"), bytes(8)),
        safetensors(entry(shape=[float("inf")]), bytes(8)),
        safetensors(json.dumps({"a": 3}).encode()),
    ],
)
def test_damaged_safetensors(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.safetensors").write_bytes(content)
    assert "safetensors" in refused(tmp_path / "net.safetensors", capsys)


def npy(shape: tuple[int, ...], content: bytes = b"") -> bytes:
    file = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + content


def test_damaged_archives(
    arrays: dict[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.npz"
    np.savez(path, **arrays)
    whole = path.read_bytes()
    for content in (b"", b"PK", whole[:1000], whole[:-100], whole[: len(whole) // 2]):
        path.write_bytes(content)
        assert "archive" in refused(path, capsys)
    # The right size is written in front of too little, or of another size of many gigabytes.
    for shape in ((4,), (2**40,)):
        rest = {name: array for name, array in arrays.items() if name != "classifier.1.bias"}
        np.savez(path, **rest)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("classifier.1.bias.npy", npy(shape, bytes(7)))
        assert "'classifier.1.bias' is damaged or cut short" in refused(path, capsys)


@pytest.mark.parametrize("header", [b"(1", b"'''", b"-" * 9000 + b"1", b"{[]: 1}"])
def test_headers_that_no_array_has(
    header: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile(tmp_path / "net.npz", "w") as archive:
        content = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header
        archive.writestr("classifier.1.bias.npy", content)
    assert "not a NumPy archive (.npz), or damaged" in refused(tmp_path / "net.npz", capsys)


def test_an_array_whose_compression_is_damaged(
    arrays: dict[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.npz"
    np.savez_compressed(path, **arrays)
    content = bytearray(path.read_bytes())
    start = content.index(b".npy") + 24  # after the name, and what zip says of sizes
    content[start : start + 4] = b"\xff" * 4
    path.write_bytes(content)
    assert "not a NumPy archive (.npz), or damaged" in refused(path, capsys)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_array_that_is_damaged_behind_its_header(
    method: int, arrays: dict[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.npz"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, array in arrays.items():
            archive.writestr(f"{name}.npy", npy(array.shape, array.tobytes()))
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda member: member.compress_size)
    content = bytearray(path.read_bytes())
    start = largest.header_offset + largest.compress_size // 2
    content[start : start + 64] = b"\xff" * 64
    path.write_bytes(content)
    assert "damaged" in refused(path, capsys)


@pytest.fixture(scope="module")
def exported(network: MobileNetV2, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("onnx") / "net.onnx"
    export_network(network, path, GraphOptions(resolution=32))
    return path.read_bytes()


def other_network() -> onnx.ModelProto:
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["p"]),
        helper.make_node("Flatten", ["p"], ["y"]),
    ]
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", ["N", 3, 8, 8]), ("y", ["N", 3]))
    ]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 7)], ir_version=4)


def test_onnx_files_that_are_no_mobilenet_v2(
    exported: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.onnx"
    whole = onnx.ModelProto.FromString(exported)
    assert len(whole.graph.initializer) > 50

    def refusal(model: onnx.ModelProto) -> str:
        path.write_bytes(model.SerializeToString())
        return refused(path, capsys)

    assert "0 convolutions" in refusal(other_network())
    for kind, field in (("Conv", "input"), ("Conv", "output"), ("Gemm", "input"), ("Add", "input")):
        bare = onnx.ModelProto.FromString(exported)
        node = [node for node in bare.graph.node if node.op_type == kind][-1]
        node.ClearField(field)
        assert f"a node {kind} lacks inputs or its output" in refusal(bare)
    constant = onnx.ModelProto.FromString(exported)
    constant.graph.node.append(helper.make_node("Constant", [], ["c"]))
    assert "a node Constant lacks" in refusal(constant)
    external = onnx.ModelProto.FromString(exported)
    tensor = external.graph.initializer[3]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    tensor.external_data.add(key="location", value="../../../etc/passwd")
    assert "in other files" in refusal(external)
    strange = onnx.ModelProto.FromString(exported)
    strange.graph.node[1].op_type = "Elu"
    assert "the operators Elu" in refusal(strange)
    bad = onnx.ModelProto.FromString(exported)
    values = np.frombuffer(bad.graph.initializer[0].raw_data, np.float32).copy()
    values[5] = np.nan
    bad.graph.initializer[0].raw_data = values.tobytes()
    assert "not finite" in refusal(bad)
    short = onnx.ModelProto.FromString(exported)
    short.graph.initializer[0].raw_data = short.graph.initializer[0].raw_data[:-4]
    assert "net.onnx" in refusal(short)
    for content in (b"", b"text", exported[:1000], exported[: len(exported) // 2], exported[:-3]):
        path.write_bytes(content)
        refused(path, capsys)


@pytest.mark.parametrize("said", ["wide", "NaN", "Infinity", "1e400", "[1]", "-1", "0.1"])
def test_a_width_that_a_file_says_is_a_hint(said: str, exported: bytes, tmp_path: Path) -> None:
    model = onnx.ModelProto.FromString(exported)
    model.metadata_props.add(key="width_multiplier", value=said)
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    assert run(tmp_path / "net.onnx", "--output", tmp_path / "own") == 0
    config = open_model(tmp_path / "own.params", tmp_path / "own.yaml").config
    assert config.model.width_multiplier == 0.1


@pytest.mark.parametrize("suffix", [".onnx", ".safetensors", ".npz", ".params"])
def test_three_gigabytes_of_nothing(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (tmp_path / f"net{suffix}").open("wb") as file:
        file.truncate(3 * GIB)  # takes no room on the disk
    assert f"net{suffix}" in refused(tmp_path / f"net{suffix}", capsys)


def test_outputs_that_cannot_be(
    exported: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(exported)
    refused(path, capsys, output=path / "in-a-file")
    assert "names no file" in refused(path, capsys, output=Path())
    assert "names no file" in refused(path, capsys, output=tmp_path / "..")
    assert run(path, "--output", tmp_path / "own") == 0
    capsys.readouterr()
    own = tmp_path / "own.params"
    assert "would replace" in refused(own, capsys, output=tmp_path / "own")
    assert run(own, "--output", tmp_path / "again") == 0
    assert (tmp_path / "again.params").read_bytes() == own.read_bytes()
