"""8-bit integers: in an ONNX file, and for validation and prediction."""

from __future__ import annotations

import json
import time
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from mobilenet import cli, settings
from mobilenet.data.eval_transforms import IMAGENET
from mobilenet.export.to_onnx import untrained_network
from mobilenet.inference.int8_model import in_int8
from mobilenet.inference.open_model import open_model
from mobilenet.network.architecture import parameter_arrays
from mobilenet.onnx.example_images import random_images
from mobilenet.onnx.runtime import OnnxModel
from mobilenet.settings.schema import Config

NUM_CLASSES, NUM_IMAGES = 5, 60
CONFIG = """
model: {width_multiplier: 0.35, classes: 5}
data: {directory: DIRECTORY, resolution: 32, num_workers: 1}
validation: {short_side: 32}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with random weights, and images in a folder per class, which is its own answer.

    Its biases make all classes occur. Of many images those are taken of whose class it is surest,
    as a trained network is.
    """
    folder = tmp_path_factory.mktemp("int8")
    (folder / "net.yaml").write_text(CONFIG.replace("DIRECTORY", str(folder)))
    config = settings.load(Config, folder / "net.yaml")
    network = untrained_network(config)
    images = random_images(10 * NUM_IMAGES, 32, seed=0)
    logits = network(mx.nd.array(IMAGENET(images))).asnumpy()
    centre = logits.mean(axis=0)
    logits -= centre
    bias = network.collect_params()["classifier_bias"]
    bias.set_data(mx.nd.array(bias.data().asnumpy() - centre))
    mx.nd.waitall()
    mx.nd.save(str(folder / "net.params"), parameter_arrays(network))
    best = np.sort(logits, axis=1)
    surest = np.argsort(best[:, -2] - best[:, -1])[:NUM_IMAGES]
    for number in surest:
        path = folder / "images" / f"{logits[number].argmax()}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.cvtColor(images[number].transpose(1, 2, 0), cv2.COLOR_RGB2BGR))
    return folder


def run(command: str, folder: Path, *arguments: object) -> int:
    model = (folder / "net.params", "--config", folder / "net.yaml")
    return cli.main([command, *map(str, (*model, *arguments))])


def export(folder: Path, *arguments: object) -> int:
    return run("export", folder, "--int8", *arguments)


def test_a_file_in_integers(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, report = tmp_path / "net.onnx", tmp_path / "net.json"
    options = ("--data", folder / "images", "--output", output)
    assert export(folder, *options, "--json", report) == 0
    text = capsys.readouterr().out
    assert f"{output} (int8): top-1" in text
    assert "McNemar's p" in text
    result = json.loads(report.read_text())
    assert result["comparison"]["first"]["top1"] == 1
    assert result["comparison"]["num_agreeing"] >= 0.97 * NUM_IMAGES
    model, second = OnnxModel(output), result["comparison"]["second"]
    assert model.metadata.calibrated_on == f"{NUM_IMAGES} images of images"
    assert model.metadata.quantization is not None
    assert model.metadata.top1_accuracy == second["top1"]
    assert model.metadata.num_validated == second["num_images"] == NUM_IMAGES
    assert open_model(output).transform.short_side == 32
    graph = onnx.load(str(output)).graph
    arrays = {tensor.name: tensor for tensor in graph.initializer}
    weights = [
        (arrays[node.input[0]], arrays[node.input[1]])
        for node in graph.node
        if node.op_type == "DequantizeLinear"
        and len(getattr(arrays.get(node.input[0]), "dims", ())) > 1
    ]
    assert len(weights) == 53
    for weight, scale in weights:
        assert weight.data_type == onnx.TensorProto.INT8
        assert list(scale.dims) == [weight.dims[0]]  # per output channel
    assert not any(node.op_type in ("Clip", "Constant") or node.domain for node in graph.node)
    first = output.read_bytes()
    assert export(folder, *options) == 0
    assert output.read_bytes() == first


def test_pixels_and_a_fixed_batch(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "net.onnx"
    graph = ("--pixels", "uint8", "--softmax", "--batch", 4, "--opset", 17)
    assert export(folder, "--data", folder / "images", "--output", output, *graph) == 0
    model = OnnxModel(output)
    assert (model.dtype, model.batch_size) == (np.uint8, 4)
    assert model.metadata.output == "probabilities"
    probabilities = model.predict(random_images(8, 32, seed=1))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)  # no steps of 1 / 255


def test_a_batch_of_any_size_is_calibrated_alike(folder: Path, tmp_path: Path) -> None:
    """With batches of 7 and 64, the last one of 60 images is filled up."""
    scales = []
    for batch in ("any", 7, 64):
        output = tmp_path / f"{batch}.onnx"
        options = ("--data", folder / "images", "--output", output, "--batch", batch)
        assert export(folder, *options) == 0
        arrays = {
            t.name: numpy_helper.to_array(t) for t in onnx.load(str(output)).graph.initializer
        }
        scales.append({name: a for name, a in arrays.items() if name.endswith("_scale")})
    assert len(scales[0]) > 100
    for other in scales[1:]:
        assert other.keys() == scales[0].keys()
        for name, scale in other.items():
            np.testing.assert_allclose(scale, scales[0][name], rtol=1e-3)


def test_what_loses_too_much_gets_no_name(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Black images say nothing of the ranges of others."""
    for number in range(10):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((32, 32, 3), np.uint8))
    output = tmp_path / "net.onnx"
    options = ("--data", folder / "images", "--calibration", tmp_path, "--output", output)
    assert export(folder, *options) == 1
    assert "single precision on 60; at most 1 may be lost" in capsys.readouterr().err
    assert not output.exists()
    assert not list(tmp_path.glob(".*"))


ENGINES = {(): " (by ONNX Runtime)", ("mxnet",): "", ("openvino",): " (by OpenVINO)"}


@pytest.mark.parametrize("engine", ENGINES)
def test_validation_and_prediction(
    engine: tuple[str, ...], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if engine == ("openvino",):
        pytest.importorskip("openvino", reason="needs the extra: pip install '.[openvino]'")
    in_int8 = ("--int8", *(word for name in engine for word in ("--engine", name)))
    report, data = tmp_path / "report.json", ("--data", folder / "images")
    assert run("validate", folder, *data, *in_int8, "--json", report) == 0
    result = json.loads(report.read_text())
    assert result["int8_calibrated_on"] == f"{NUM_IMAGES} images of images"
    assert 0.9 <= result["top1"] <= 1
    assert "int8, calibrated on" in capsys.readouterr().out
    against = ("--against", folder / "net.params")
    assert run("validate", folder, *data, *in_int8, *against) == 0
    assert f"net.params (int8){ENGINES[engine]}: top-1" in capsys.readouterr().out
    image = next((folder / "images").rglob("*.png"))
    answers = []
    for options in ((), (*in_int8, "--calibration", folder / "images")):
        assert run("predict", folder, image, "--json", *options) == 0
        answers.append(json.loads(capsys.readouterr().out)["guesses"])
    single, integer = answers
    assert single[0]["label"] == integer[0]["label"]
    assert single[0]["probability"] != integer[0]["probability"]


def test_mxnet_keeps_its_plan_for_a_single_image(folder: Path) -> None:
    """Making it anew, as for each change of the shape, takes much longer than computing."""
    model = in_int8(open_model(folder / "net.params"), folder / "images")
    images = IMAGENET(random_images(3, 32, seed=5))
    together = model.predict(images)

    def milliseconds(sizes: tuple[int, ...]) -> float:
        times = []
        for size in sizes:
            start = time.process_time()
            found = model.predict(images[:size])
            times.append(1000 * (time.process_time() - start) / size)
            np.testing.assert_array_equal(found, together[:size])
        return float(np.median(times[2:]))

    assert milliseconds((1,) * 12) < milliseconds((1, 2) * 6) / 2


MISTAKES = [
    (("--data", "DATA", "--opset", 12), "int8 needs opset 13 or later, not 12"),
    (("--data", "DATA", "--form", "zoo"), "int8 needs the form 'portable'"),
    (("--data", "DATA", "--half"), "int8 needs the form 'portable'"),
    (("--data", "FEW"), "has 3 images; int8 is compared on at least 50"),
    (("--data", "DATA", "--calibration", "FEW"), "has 3 images; int8 needs at least 10"),
    (("--data", "DATA", "--calibration", "missing"), "missing: no such file or folder"),
    (("--data", "missing"), "missing"),
    (("--widths", "0.5"), "--widths has no effect without --untrained"),
    (("--resolutions", "32,64", "--output", "f"), "--int8 has no effect on a family"),
]


@pytest.mark.parametrize(("options", "message"), MISTAKES)
def test_mistakes(
    options: tuple[str, ...],
    message: str,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    few = tmp_path / "few" / "0"
    few.mkdir(parents=True)
    for path in sorted((folder / "images").rglob("*.png"))[:3]:
        (few / path.name).write_bytes(path.read_bytes())
    places = {"DATA": folder / "images", "FEW": few.parent}
    given = [places.get(option, option) for option in options]
    if "--output" not in given:
        given += ["--output", tmp_path / "net.onnx"]
    assert export(folder, *given) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["few"]


@pytest.mark.slow
@pytest.mark.shared_data
def test_real_weights_lose_at_most_4_of_300(shared: Path, tmp_path: Path) -> None:
    """Calibrated on other photographs, which are of 64 px."""
    others = tmp_path / "others"
    source = shared / "data" / "tiny-imagenet-20.tar"
    assert cli.main(["prepare", "--source", str(source), "--output", str(others)]) == 0
    call = ["export", shared / "weights" / "mobilenetv2_1.0-imagenet.params", "--int8"]
    call += ["--config", "configs/imagenet/mobilenetv2_1.0-tf.yaml", "--calibration", others]
    call += ["--data", shared / "data" / "imagenet-sample" / "images"]
    call += ["--output", tmp_path / "net.onnx", "--json", tmp_path / "net.json"]
    assert cli.main([*map(str, call)]) == 0
    result = json.loads((tmp_path / "net.json").read_text())
    assert result["calibrated_on"] == "100 images of train.rec"
    assert result["comparison"]["first"]["num_images"] == 300
    assert len(result["comparison"]["only_first"]) <= 4


def test_an_onnx_file_becomes_a_network(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "net.onnx"
    assert run("export", folder, "--output", output) == 0
    capsys.readouterr()
    images = str(folder / "images")
    assert cli.main(["export", str(output), "--int8", "--data", images]) == 0
    assert (tmp_path / "net-int8.onnx").is_file()
    assert cli.main(["validate", str(output), "--int8", "--data", images]) == 0
    assert "int8, calibrated on" in capsys.readouterr().out
    assert run("validate", folder, "--calibration", folder / "images") == 2
    assert "--calibration has no effect without --int8" in capsys.readouterr().err
    assert run("validate", folder, "--int8", "training.devices=[gpu]") == 2
