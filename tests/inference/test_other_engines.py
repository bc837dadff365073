"""Networks and ONNX files run by other engines than their usual one: chosen, or asked for."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

import cv2
import mxnet as mx
import numpy as np
import pytest
from random_networks import random_network
from small_network import CONFIG, small_network
from told import assert_told

from mobilenet import cli, load
from mobilenet.compat.environment import num_threads
from mobilenet.errors import WeightsError
from mobilenet.inference.loaded_model import LoadedModel
from mobilenet.inference.open_model import open_model
from mobilenet.inference.other_engines import by_fastest, network_by
from mobilenet.metrics import NotFiniteError, score
from mobilenet.network.architecture import parameter_arrays
from mobilenet.network.params_file import write_arrays
from mobilenet.onnx.openvino_runtime import OpenVinoModel
from mobilenet.onnx.runtime import OnnxModel

ENGINES = ("onnxruntime", "openvino")
NUM_IMAGES = 20


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a network of random weights, whose answers differ from image to image."""
    folder = tmp_path_factory.mktemp("engines")
    (folder / "net.yaml").write_text(CONFIG)
    with (folder / "net.params").open("wb") as file:
        write_arrays(file, parameter_arrays(random_network("paper", 0.1, 10)))
    return folder / "net.params"


@pytest.fixture(scope="module")
def photos(weights: Path) -> Path:
    """A folder for each of two classes, with half of the images."""
    generator = np.random.default_rng(3)
    for number in range(NUM_IMAGES):
        path = weights.parent / "photos" / f"{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = generator.integers(0, 256, (5, 7, 3), np.uint8)
        cv2.imwrite(str(path), cv2.resize(coarse, (80, 90), interpolation=cv2.INTER_CUBIC))
    return weights.parent / "photos"


@pytest.fixture
def model(weights: Path) -> LoadedModel:
    return open_model(weights)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(4).standard_normal((5, 3, 64, 64)).astype(np.float32)


def needs_openvino() -> Any:
    return pytest.importorskip("openvino", reason="needs the extra: pip install '.[openvino]'")


def needs_bfloat16() -> None:
    openvino = needs_openvino()
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("needs a processor with bfloat16")


def largest_difference(found: np.ndarray, expected: np.ndarray) -> float:
    """As a part of the largest logit."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def answered(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[list[Any], str]:
    """The lines of `predict --json`, and what it said besides."""
    capsys.readouterr()
    assert cli.main(["predict", *map(str, words), "--json"]) == 0
    captured = capsys.readouterr()
    return [json.loads(line) for line in captured.out.splitlines()], captured.err


def test_a_network_is_run_by_onnx_runtime_unless_another_engine_is_told(
    weights: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many, told = answered(capsys, weights, photos)
    assert told.count("run by ONNX Runtime\n") == 1
    by_mxnet, told = answered(capsys, weights, photos, "--engine", "mxnet")
    assert "run by" not in told
    one, told = answered(capsys, weights, photos / "0" / "2.png", "--engine", "onnxruntime")
    assert told.count("run by ONNX Runtime\n") == 1
    assert len(many) == len(by_mxnet) == NUM_IMAGES
    same_as_mxnet = {answer["image"]: answer["guesses"] for answer in by_mxnet}
    for answer in (*many, *one):
        for guess, expected in zip(answer["guesses"], same_as_mxnet[answer["image"]]):
            assert guess["probability"] == pytest.approx(expected["probability"], abs=1e-4)


def test_heat_maps_are_drawn_whatever_runs_the_network(
    weights: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And with them MXNet is the usual engine, which draws them."""
    explain = ("--explain", tmp_path)
    usual, told = answered(capsys, weights, photos, *explain)
    assert "run by" not in told
    asked, told = answered(capsys, weights, photos, *explain, "--engine", "onnxruntime")
    assert "run by ONNX Runtime" in told
    for one, other in zip(usual, asked):
        assert one["guesses"][0]["label"] == other["guesses"][0]["label"]
        assert Path(other["heat_map"]).is_file()


def test_what_can_not_be_faster_stays_as_it_is(
    model: LoadedModel, tmp_path: Path, images: np.ndarray
) -> None:
    assert by_fastest(model).engine == "onnxruntime"
    in_int8 = dataclasses.replace(model, calibrated_on="images")
    training = dataclasses.replace(model.config.training, devices=("gpu(0)",))
    on_gpu = dataclasses.replace(model, config=dataclasses.replace(model.config, training=training))
    onnx = open_model(small_network(tmp_path / "net.onnx"))
    for other in (in_int8, on_gpu, onnx):
        assert by_fastest(other) is other
    assert model.network is not None
    bias = model.network.collect_params()["classifier_bias"]
    bias.set_data(mx.nd.full(bias.shape, np.nan))
    diverged = by_fastest(model)
    assert diverged is model
    with pytest.raises(WeightsError, match="values that are not finite"):
        network_by("onnxruntime", model)
    with pytest.raises(NotFiniteError):
        score(np.full_like(images[:, :1, 0, 0], np.nan), np.zeros(len(images), np.int32))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_network_has_the_same_logits(
    weights: Path, model: LoadedModel, images: np.ndarray, engine: Any
) -> None:
    if engine == "openvino":
        needs_openvino()
    other = open_model(weights, engine=engine)
    assert isinstance(other.predict.__self__, OnnxModel)  # type: ignore[attr-defined]
    assert other.engine == engine and other.network is not None
    for size in (5, 1, 3):
        expected = model.predict(images[:size])
        assert largest_difference(other.predict(images[:size]), expected) < 1e-5
    through_the_api = load(weights, engine=engine)
    assert through_the_api.name == other.title != str(weights)


def test_an_onnx_file_by_openvino(tmp_path: Path, images: np.ndarray) -> None:
    needs_openvino()
    options: dict[str, Any]
    for options in ({}, {"batch": 2, "softmax": True}, {"pixels": "uint8"}, {"opset": 13}):
        path = small_network(tmp_path / "net.onnx", **options)
        data = 50 * images + 127 if "pixels" in options else images
        usual, other = open_model(path), open_model(path, engine="openvino")
        assert other.title == f"{path} (by OpenVINO)" and usual.title == str(path)
        assert other.class_names == usual.class_names
        assert largest_difference(other.predict(data), usual.predict(data)) < 1e-4


def test_what_openvino_cannot_read_is_told(tmp_path: Path, images: np.ndarray) -> None:
    needs_openvino()
    path = small_network(tmp_path / "net.onnx")
    with pytest.raises(WeightsError, match="is not an ONNX model"):
        OpenVinoModel(path, 1, b"no model")
    runs = OpenVinoModel(path, 1)
    runs._input = type("Input", (), {"shape": ["N", 3, "H", "W"], "type": "tensor(float)"})()
    with pytest.raises(WeightsError, match=r"net\.onnx cannot be run by OpenVINO: "):
        runs.predict(images[..., :32])


def test_openvino_computes_in_float32_unless_bfloat16_is_asked_for(
    weights: Path, model: LoadedModel, images: np.ndarray
) -> None:
    needs_bfloat16()
    expected = model.predict(images)
    single, half = (
        open_model(weights, engine=engine) for engine in ("openvino", "openvino-bfloat16")
    )
    assert largest_difference(single.predict(images), expected) < 1e-5
    assert 1e-3 < largest_difference(half.predict(images), expected) < 0.5  # random weights


def test_bfloat16_is_validated_beside_float32(
    weights: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needs_bfloat16()
    answer = tmp_path / "result.json"
    command = ["validate", str(weights), "--data", str(photos), "--json", str(answer)]
    capsys.readouterr()
    assert cli.main([*command, "--engine", "openvino-bfloat16"]) == 0
    first, _, *beside = capsys.readouterr().out.splitlines()
    assert first.startswith("top-1 ")
    assert beside[0].startswith(f"{weights} (by OpenVINO in bfloat16): top-1 ")
    assert beside[1].startswith(f"{weights} (by OpenVINO): top-1 ")
    assert any(line.startswith("the same answer to ") for line in beside)
    result = json.loads(answer.read_text())
    assert result["engine"] == "openvino-bfloat16"
    assert result["float32"]["engine"] == "openvino"
    assert NUM_IMAGES / 3 < result["beside_float32"]["num_agreeing"] <= NUM_IMAGES
    assert cli.main([*command, "--engine", "openvino"]) == 0
    assert "bfloat16" not in capsys.readouterr().out
    alone = json.loads(answer.read_text())
    assert alone["loss"] == pytest.approx(result["float32"]["loss"], rel=1e-6)
    assert alone["loss"] != result["loss"]


def test_a_processor_without_bfloat16(
    weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Core:
        def get_property(self, *_: str) -> list[str]:
            return ["FP32", "INT8"]

    monkeypatch.setitem(sys.modules, "openvino", type("", (), {"Core": Core}))
    words = ["predict", str(weights), os.devnull, "--engine", "openvino-bfloat16"]
    assert cli.main(words) == 2
    assert_told(capsys.readouterr().err, "bfloat16 on a processor without it")


def test_openvino_is_missing(
    weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    for command in ("validate", "predict"):
        images = [os.devnull] if command == "predict" else []
        assert cli.main([command, str(weights), *images, "--engine", "openvino"]) == 2
        captured = capsys.readouterr()
        assert captured.out == "" and captured.err.count("\n") == 1
        assert_told(captured.err, "OpenVINO is missing")


@pytest.mark.parametrize("command", ["validate", "predict", "serve"])
def test_integers_are_not_in_bfloat16(
    weights: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    images = [os.devnull] if command == "predict" else []
    engine = ["--engine", "openvino-bfloat16"]
    assert cli.main([command, str(weights), *images, "--int8", *engine]) == 2
    assert_told(capsys.readouterr().err, "int8 in bfloat16")


@pytest.mark.parametrize(("text", "number"), [("3", 3), ("4,2", 4), ("0", 0), ("many", 0)])
def test_threads_are_those_of_openmp(
    monkeypatch: pytest.MonkeyPatch, text: str, number: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert num_threads() == (number or len(os.sched_getaffinity(0)))


def test_engines_take_as_many_threads(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    path = small_network(tmp_path / "net.onnx")
    for opened in (open_model(path), open_model(weights, engine="onnxruntime")):
        session = opened.predict.__self__._session  # type: ignore[attr-defined]
        assert session.get_session_options().intra_op_num_threads == 3
