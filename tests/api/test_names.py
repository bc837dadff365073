"""Models that are opened by a published name give the outputs recorded for their file."""

from __future__ import annotations

import gc
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from foreign_layouts import timm, write_safetensors
from published_files import publish_file
from random_networks import random_network
from weight_server import WeightServer

import mobilenet
from mobilenet.cli import main
from mobilenet.data.eval_transforms import IMAGENET
from mobilenet.errors import ConfigError, WeightsError
from mobilenet.network.untrained_statistics import calibrate
from mobilenet.onnx.example_images import random_images
from mobilenet.onnx.exporter import export_network
from mobilenet.onnx.graph import GraphOptions

gluoncv = pytest.importorskip("gluoncv")

IMAGES = IMAGENET(random_images(2, 64, 5))


def logits_of(network: mx.gluon.HybridBlock) -> np.ndarray:
    return network(mx.nd.array(IMAGES)).asnumpy()


def assert_close(given: np.ndarray, expected: np.ndarray) -> None:
    assert np.abs(given - expected).max() <= 1e-4 * np.abs(expected).max()
    assert np.ptp(expected, axis=0).max() > 1e-3 * np.abs(expected).max()  # it is not blind


def theirs(owner: str) -> mx.gluon.HybridBlock:
    """The network of width 0.25 as the code of its publisher makes it, with random weights."""
    if owner == "gluoncv":
        made = gluoncv.model_zoo.get_model("mobilenetv2_0.25")
    else:
        made = mx.gluon.model_zoo.vision.mobilenet_v2_0_25()
    made.initialize(mx.init.MSRAPrelu())
    logits_of(made)  # only now are all shapes known
    calibrate(made, IMAGENET(random_images(4, 64, 3)))
    return made


@pytest.mark.parametrize("owner", ["gluoncv", "mxnet"])
def test_gluon_names(
    owner: str, server: WeightServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, published = f"{owner}/mobilenetv2_0.25", theirs(owner)
    published.save_parameters(str(tmp_path / "net.params"))
    publish_file(name, tmp_path / "net.params", server, monkeypatch)
    model = mobilenet.load(name)
    assert_close(logits_of(model.network), logits_of(published))
    assert model.name == name
    form = {"gluoncv": {"dialect": "gluoncv"}, "mxnet": {"dialect": "origin"}}[owner]
    network = mobilenet.MobileNetV2(0.25, **form, activation="relu6")
    network.load_parameters(name)
    network.load_parameters(tmp_path / "net.params")
    assert_close(logits_of(network), logits_of(published))
    assert len(server.asked) == 1
    other = mobilenet.MobileNetV2(0.25)
    right = rf"MobileNetV2\(dialect='{form['dialect']}', width_multiplier=0.25, .*would be right"
    with pytest.raises(WeightsError, match=right):
        other.load_parameters(name)


def test_timm_with_a_depth_multiplier(
    server: WeightServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "timm/mobilenetv2_110d.ra_in1k"
    published = random_network("paper", 1.1, 1000, depth_multiplier=1.2)
    arrays = timm(published, (3, 4, 5, 4, 4, 1))
    write_safetensors(tmp_path / "model.safetensors", arrays)
    publish_file(name, tmp_path / "model.safetensors", server, monkeypatch)
    model = mobilenet.load(name)
    assert_close(logits_of(model.network), logits_of(published))
    assert model.cost.num_parameters == 4_516_520  # timm's count
    assert repr(model) == f"{name}: MobileNet v2 of width 1.1, depth 1.2, 1000 classes, 224 px"


def test_onnx_names(server: WeightServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = random_network("origin", 1.0, 1000)
    path = tmp_path / "zoo.onnx"
    export_network(published, path, GraphOptions(form="zoo", batch=1, resolution=224))
    publish_file("onnx/mobilenetv2-7", path, server, monkeypatch)
    monkeypatch.chdir(tmp_path)
    model = mobilenet.load("onnx/mobilenetv2-7")
    assert model.network is None
    assert model.config.validation.transform == "squash-256"
    result = model.export(pixels="uint8", softmax=True)
    assert result.path == Path("mobilenetv2-7.onnx")
    assert mobilenet.load(result.path).class_names == model.class_names
    gc.collect()


def test_fine_tuning_begins_with_a_name(
    server: WeightServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, published = "gluoncv/mobilenetv2_0.25", theirs("gluoncv")
    published.save_parameters(str(tmp_path / "net.params"))
    publish_file(name, tmp_path / "net.params", server, monkeypatch)
    monkeypatch.chdir(tmp_path)
    records = mobilenet.prepare(None, "records", num_sample_images=2)
    settings = {
        "epochs": 1, "batch_size": 10, "initial_weights": name, "frozen_stages": 9,
        "model": {"classes": records.num_classes, "width_multiplier": 0.25, "dialect": "gluoncv"},
        "resolution": 32, "validation": {"short_side": 32}, "warmup_epochs": 0,
    }  # fmt: skip
    run = mobilenet.train("configs/quickstart.yaml", data=records, run="run", **settings)
    stem = next(iter(published.collect_params().values())).data().asnumpy()
    trained = run.load().network.collect_params()["stem_conv_weight"].data().asnumpy()
    np.testing.assert_array_equal(trained, stem)
    assert "initial_weights: gluoncv/mobilenetv2_0.25" in Path("run/config.yaml").read_text()
    settings["model"] = {"classes": 10}
    with pytest.raises(ConfigError, match=r"set model.dialect=gluoncv model.width_multiplier=0.25"):
        mobilenet.train("configs/quickstart.yaml", data=records, run="other", **settings)


def test_the_command_line_takes_names(
    server: WeightServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = "gluoncv/mobilenetv2_0.25"
    theirs("gluoncv").save_parameters(str(tmp_path / "net.params"))
    publish_file(name, tmp_path / "net.params", server, monkeypatch)
    monkeypatch.chdir(tmp_path)
    assert main(["weights", name, "--offline"]) == 2
    assert "MOBILENET_OFFLINE keeps it from being downloaded from" in capsys.readouterr().err
    monkeypatch.delenv("MOBILENET_OFFLINE")
    assert main(["weights", name]) == 0
    told = capsys.readouterr().out
    assert "mobilenetv2_0.25-9b1d2cc3.params" in told
    assert "Apache-2.0" in told
    assert main(["weights"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 17
    assert main(["weights", "gluoncv/mobilenetv2_0.3"]) == 2
    assert "did you mean" in capsys.readouterr().err
    assert main(["export", name, "data.resolution=32"]) == 0
    assert (tmp_path / "mobilenetv2_0.25.onnx").is_file()
    records = mobilenet.prepare(None, "records", num_sample_images=2)
    assert main(["audit", name, "--normalizations", "--data", str(records.folder)]) == 2
    assert "classes" in capsys.readouterr().err
