"""What `import mobilenet` offers, as a user of Python meets it."""

from __future__ import annotations

import pydoc
import subprocess
import sys
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from PIL import Image
from random_networks import random_network

import mobilenet
from mobilenet.errors import ConfigError, DataError, WeightsError
from mobilenet.network.architecture import parameter_arrays
from mobilenet.network.params_file import write_arrays
from mobilenet.packing.drawn_sample import CLASSES, write_sample


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of a network of ten classes with its YAML beside it, and images in class folders."""
    folder = tmp_path_factory.mktemp("api")
    with (folder / "net.params").open("wb") as file:
        write_arrays(file, parameter_arrays(random_network("paper", 0.1, 10)))
    (folder / "net.yaml").write_text(
        "model: {width_multiplier: 0.1, classes: 10}\n"
        "data: {resolution: 32, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}\n"
    )
    (folder / "net-synset.txt").write_text("".join(f"{name}\n" for name in sorted(CLASSES)))
    write_sample(folder / "images", num_train_per_class=1, num_val_per_class=2, size=48, seed=1)
    return folder


def test_it_is_small_fast_and_complete() -> None:
    assert len(mobilenet.__all__) <= 10
    assert set(mobilenet.__all__) <= set(dir(mobilenet))
    assert all(getattr(mobilenet, name).__doc__ for name in mobilenet.__all__)
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        mobilenet.lode  # noqa: B018
    code = (
        "import sys, time; t = time.perf_counter(); import mobilenet;"
        "print(time.perf_counter() - t, 'mxnet' in sys.modules, 'numpy' in sys.modules)"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    assert all(run.stdout.split()[1:] == ["False", "False"] for run in runs)
    assert min(float(run.stdout.split()[0]) for run in runs) < 0.1


def test_help_begins_with_what_one_needs() -> None:
    screen = pydoc.plain(pydoc.render_doc(mobilenet)).splitlines()[:24]
    text = "\n".join(screen)
    assert all(f"`{name}`" in text or f"mobilenet.{name}" in text for name in ("load", "train"))
    assert "docs/ has the manual" in text
    assert all(len(line) <= 104 for line in screen)


def test_images_in_every_form(folder: Path) -> None:
    model = mobilenet.load(folder / "net.params")
    path = sorted((folder / "images/val").rglob("*.jpg"))[0]
    one = model.predict(str(path))
    image = Image.open(path).convert("RGB")
    assert model.predict(image).guesses == one.guesses
    assert model.predict(np.asarray(image)).guesses == one.guesses
    several = model.predict([path, image, np.asarray(image)])
    assert [item.label for item in several] == [one.label] * 3
    assert several[2].probability == pytest.approx(one.probability, abs=1e-6)
    assert len(model.predict(np.stack([np.asarray(image)] * 2))) == 2
    assert len(model.predict(folder / "images/val")) == 20
    assert len(model.predict(f"{folder}/images/val/*/*.jpg")[:7]) == 7
    assert repr(one).startswith(f"{path}: ") and one.name in repr(one)
    assert (one.label, one.probability) == one.guesses[0][::2]
    for shown in (one, several):
        assert shown._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "image",
    [np.zeros((32, 32), np.uint8), np.zeros((32, 32, 3)), np.zeros((0, 32, 3), np.uint8), 7],
)
def test_other_arrays_are_refused(image: object, folder: Path) -> None:
    model = mobilenet.load(folder / "net.params")
    with pytest.raises(DataError, match=r"an array \(H, W, 3\) of uint8 would be right"):
        model.predict([image])


def test_validation_and_export(folder: Path, tmp_path: Path) -> None:
    model = mobilenet.load(str(folder / "net.params"))
    accuracy = model.validate(str(folder / "images/val"))
    assert accuracy.num_images == 20
    assert repr(accuracy).startswith("top-1")
    assert accuracy._repr_png_().startswith(b"\x89PNG")
    assert accuracy.write_report(tmp_path / "report").is_file()
    result = model.export(tmp_path / "net.onnx")
    exported = mobilenet.load(result.path)
    assert exported.validate(folder / "images/val").top1 == accuracy.top1
    again = exported.export(tmp_path / "again.onnx", pixels="uint8")
    assert mobilenet.load(again.path).validate(folder / "images/val").top1 == accuracy.top1
    with pytest.raises(mobilenet.UserError, match=r"would replace what it is made from"):
        exported.export()
    assert model.audit(folder / "images/val", [32, 40]).summary()
    assert model.compare(exported, folder / "images/val").num_agreeing == 20


def test_the_configuration_beside_a_file_is_found(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = mobilenet.load(folder / "net.params")
    assert model.config.data.mean == (0.5, 0.5, 0.5)
    assert model.network is not None and model.cost.num_parameters > 0
    (tmp_path / "alone.params").write_bytes((folder / "net.params").read_bytes())
    assert "guess" not in capsys.readouterr().err
    alone = mobilenet.load(tmp_path / "alone.params")
    assert alone.config.model == model.config.model
    assert "does not say how its input is normalised" in capsys.readouterr().err
    known = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    told = mobilenet.load(tmp_path / "alone.params", data=known)
    assert told.config.data.mean == (0.5, 0.5, 0.5)
    assert "guess" not in capsys.readouterr().err


def test_mistakes_are_the_same_sentences() -> None:
    with pytest.raises(WeightsError, match=r"nowhere: no such file or folder, and no name of"):
        mobilenet.load("nowhere")
    with pytest.raises(ConfigError, match=r"eposch: is no setting"):
        mobilenet.train("configs/quickstart.yaml", eposch=5)
    with pytest.raises(ConfigError, match=r"name: could be optimizer.name or schedule.name"):
        mobilenet.train("configs/quickstart.yaml", name="nag")
    with pytest.raises(WeightsError, match="no such file or folder"):
        mobilenet.MobileNetV2().load_parameters("nowhere.params")


def test_the_block_is_gluons(folder: Path, tmp_path: Path) -> None:
    network = mobilenet.MobileNetV2(0.1, 10)
    network.load_parameters(folder / "net.params", ctx=mx.cpu())
    images = mx.nd.random.normal(shape=(2, 3, 32, 32))
    logits = network(images).asnumpy()
    network.save_parameters(tmp_path / "saved.params")
    again = mobilenet.MobileNetV2(0.1, 10)
    again.load_parameters(str(tmp_path / "saved.params"))
    np.testing.assert_array_equal(again(images).asnumpy(), logits)
    mx.gluon.Block.save_parameters(network, str(tmp_path / "by_place.params"))
    by_place = mobilenet.MobileNetV2(0.1, 10)
    by_place.load_parameters(tmp_path / "by_place.params")
    np.testing.assert_array_equal(by_place(images).asnumpy(), logits)
    with pytest.raises(ValueError, match="none of paper, gluoncv, origin"):
        mobilenet.MobileNetV2(dialect="keras")


def test_only_some_parameters(folder: Path) -> None:
    other = mobilenet.MobileNetV2(0.1, 10, dialect="paper", dropout=0.2)
    other.load_parameters(folder / "net.params", allow_missing=True, ignore_extra=True)


def test_names_of_weights_are_a_table() -> None:
    assert "gluoncv/mobilenetv2_1.0" in repr(mobilenet.weights())
    assert len(mobilenet.weights()) == 16
