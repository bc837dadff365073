"""Whatever is wrong with what is given to `validate`: exit code 2, a sentence, and no result."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import cv2
import mxnet as mx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mobilenet import cli
from mobilenet.data.class_folder_labels import imagenet_words
from mobilenet.data.record_file import RecordWriter
from mobilenet.network.architecture import MobileNetV2

CLASSES, RESOLUTION = 3, 32
CONFIG = f"""
model: {{width_multiplier: 0.1, classes: {CLASSES}}}
data: {{directory: DIRECTORY, resolution: {RESOLUTION}}}
"""
IMAGE = cv2.imencode(".png", np.full((40, 40, 3), 99, np.uint8))[1].tobytes()


def write_records(folder: Path, *records: tuple[int, bytes], synset: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    with RecordWriter(folder / "val.rec", folder / "val.idx") as writer:
        for key, (label, image) in enumerate(records):
            writer.write(key, label, image)
    if synset:
        (folder / "synset.txt").write_text(synset)
    return folder


def write_bytes(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def write_onnx(path: Path, *shape: int | str, classes: int = CLASSES) -> Path:
    """The mean of each channel as the logits of as many classes, whatever makes sense."""
    value = helper.make_tensor_value_info
    nodes = [helper.make_node("GlobalAveragePool", ["data"], ["pooled"])]
    nodes.append(helper.make_node("Flatten", ["pooled"], ["logits"]))
    inputs = [value("data", TensorProto.FLOAT, shape)]
    outputs = [value("logits", TensorProto.FLOAT, ["N", classes])]
    graph = helper.make_graph(nodes, "means", inputs, outputs)
    opsets = [helper.make_opsetid("", 7)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=3), str(path))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return write_model(tmp_path_factory.mktemp("model"))


def write_model(folder: Path, classes: int = CLASSES) -> list[str]:
    network = MobileNetV2(0.1, classes)
    network.initialize(mx.init.Xavier())
    network(mx.nd.zeros((1, 3, RESOLUTION, RESOLUTION)))
    network.collect_params().save(str(folder / "model.params"))
    (folder / "config.yaml").write_text(CONFIG.replace("DIRECTORY", str(folder)))
    return [str(folder / "model.params"), "--config", str(folder / "config.yaml")]


def test_sound_data_are_validated(
    model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or the other tests here would show nothing."""
    data = str(write_records(tmp_path, (0, IMAGE), (2, IMAGE), synset="a\nb\nc\n"))
    assert cli.main(["validate", *model, "--data", data]) == 0
    assert " of 2; " in capsys.readouterr().out
    path = str(write_onnx(tmp_path / "sound.onnx", "N", 3, 32, 32))
    assert cli.main(["validate", path, "--data", data]) == 0
    assert " of 2; " in capsys.readouterr().out


# What is given as data, and what is said of it.
DATA: dict[str, tuple[Callable[[Path], Path], str]] = {
    "labels beyond the classes": (
        lambda folder: write_records(folder, (0, IMAGE), (3, IMAGE)),
        "val.rec: record 1 has the label 3, but there are 3 classes, 0 to 2",
    ),
    "more classes than the model": (
        lambda folder: write_records(folder, (0, IMAGE), synset="0\n1\n2\n3\n"),
        "val.rec: has 4 classes, such as '0', but the model has 3 others",
    ),
    "an image that does not decode": (
        lambda folder: write_records(folder, (0, IMAGE), (1, IMAGE[:50])),
        "val.rec: record 1: the image cannot be decoded",
    ),
    "an image without bytes": (
        lambda folder: write_records(folder, (0, b"")),
        "val.rec: record 0: the image cannot be decoded",
    ),
    "an image in a folder that does not decode": (
        lambda folder: write_bytes(folder / "1" / "a.jpg", b"no image").parent.parent,
        "data: 1/a.jpg: the image cannot be decoded",
    ),
    "an empty record file": (
        lambda folder: write_bytes(folder / "val.rec", b"").parent,
        "val.rec: the record file is empty",
    ),
    "no records": (write_records, "val.rec: the record file is empty"),
    "no index": (
        lambda folder: write_bytes(folder / "val.rec", b"something").parent,
        "val.idx: the index of the records is missing; `mobilenet verify --fix` rebuilds it",
    ),
    "an empty folder": (
        lambda folder: write_bytes(folder / "a" / "b.txt", b"").parent,
        "has neither val.rec nor a folder of images per class",
    ),
    "nothing": (lambda folder: folder / "absent", "absent: there is no record file"),
}


def test_a_partial_imagenet_passes_no_gate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_records(tmp_path / "data", (0, IMAGE), synset="\n".join(imagenet_words()))
    check = [*write_model(tmp_path, 1000), "--data", str(data), "model.classes=1000"]
    message = "lacks 49999 of the 50000 validation images of ILSVRC2012"
    assert cli.main(["validate", *check]) == 0
    assert f"not comparable: {data}/val.rec {message}" in capsys.readouterr().out
    assert_refused([*check, "--expect", "top1=0"], f"val.rec: {message}", capsys)


def assert_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["validate", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    errors = [line for line in captured.err.splitlines() if not line.startswith("warning: ")]
    assert len(errors) == 1


@pytest.mark.parametrize("case", DATA)
def test_data(
    case: str, model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build, message = DATA[case]
    report = tmp_path / "report"
    data = build(tmp_path / "data")
    assert_refused([*model, "--data", str(data), "--report", str(report)], message, capsys)
    assert not report.exists()


# What is given as a model, and what is said of it.
MODELS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "an empty ONNX file": (lambda path: write_bytes(path, b""), "is not an ONNX model"),
    "no ONNX file": (lambda path: write_bytes(path, b"\x08\x07junk"), "is not an ONNX model"),
    "one channel": (
        lambda path: write_onnx(path, "N", 1, 32, 32, classes=1),
        "an image classifier takes (N, 3, H, W)",
    ),
    "no images": (lambda path: write_onnx(path, "N", 3, 32), "an image classifier takes (N, 3"),
    "an empty file of parameters": (
        lambda path: write_bytes(path.with_suffix(".params"), b""),
        "model.params",
    ),
    "nothing": (lambda path: path, "model.onnx: no such file or folder"),
}


@pytest.mark.parametrize("case", MODELS)
def test_model(
    case: str, model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build, message = MODELS[case]
    data = str(write_records(tmp_path / "data", (0, IMAGE)))
    path = build(tmp_path / "model.onnx")
    config = model[1:] if path.suffix == ".params" else []
    assert_refused([str(path), *config, "--data", data], message, capsys)


def test_an_onnx_file_with_another_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(write_records(tmp_path / "data", (0, IMAGE)))
    path = str(write_onnx(tmp_path / "model.onnx", 1, 3, 32, 32))
    resized = ["data.resolution=64", "validation.short_side=72"]
    assert_refused([path, "--data", data, *resized], "takes images of 3x32x32", capsys)
    assert_refused([path, "--data", data, "model.classes=4"], "has 3 classes, but", capsys)
