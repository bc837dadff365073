"""The model card of weights whose licence is known, and of a file of others."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import mxnet as mx
import onnx
from small_network import CONFIG, small_network

from mobilenet import settings
from mobilenet.export.model_card import card, title
from mobilenet.export.to_onnx import export, untrained_network
from mobilenet.inference.open_model import open_model
from mobilenet.network.architecture import parameter_arrays
from mobilenet.onnx.runtime import OnnxModel
from mobilenet.pretrained import published_weights
from mobilenet.settings.schema import Config


def card_of(path: Path) -> dict[str, str]:
    return dict(card(open_model(path), OnnxModel(path).metadata))


def test_published_weights_have_their_licence(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(CONFIG)
    network = untrained_network(settings.load(Config, tmp_path / "net.yaml"))
    mx.nd.save(str(tmp_path / "net.params"), parameter_arrays(network))
    published = published_weights.find("gluoncv/mobilenetv2_1.0")
    assert published is not None
    model = dataclasses.replace(open_model(tmp_path / "net.params"), published=published)
    found = card_of(export(model, tmp_path / "net.onnx").path)
    assert found["Licence of the weights"] == "Apache-2.0"
    source = f"published as gluoncv/mobilenetv2_1.0 ({published.source})"
    assert found["Training"] == source


def test_a_file_of_others_says_only_what_it_knows(tmp_path: Path) -> None:
    model = onnx.load(small_network(tmp_path / "net.onnx"))
    del model.metadata_props[:]
    model.producer_name = "another"
    onnx.save(model, tmp_path / "net.onnx")
    found = card_of(tmp_path / "net.onnx")
    assert title(open_model(tmp_path / "net.onnx")) == "Image classifier"
    assert "Proof" not in found
    assert "Network" not in found
    unknown = ("Accuracy", "Training", "Licence of the weights")
    assert {found[label] for label in unknown} == {"not stated in the file"}


def test_a_text_of_several_lines_stays_one_row(tmp_path: Path) -> None:
    model = onnx.load(small_network(tmp_path / "net.onnx"))
    model.metadata_props.add(key="license", value="mine\n# A heading")
    onnx.save(model, tmp_path / "net.onnx")
    assert card_of(tmp_path / "net.onnx")["Licence of the weights"] == r"mine\n# A heading"
