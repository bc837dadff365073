"""Exports of whole models: what the file says of itself, its proof, and what mistakes lead to."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import re
import shutil
import tarfile
from pathlib import Path
from types import SimpleNamespace

import cv2
import mxnet as mx
import numpy as np
import onnx
import pytest
from mxnet.gluon import nn
from onnx import numpy_helper

from mobilenet import cli, settings
from mobilenet.data.eval_transforms import TENSORFLOW, EvalTransform
from mobilenet.data.record_file import RecordWriter
from mobilenet.errors import DataError, UserError, VerificationError
from mobilenet.export.to_onnx import export, untrained_network
from mobilenet.export.width_family import export_family
from mobilenet.export.zoo_package import package
from mobilenet.inference.loaded_model import LoadedModel
from mobilenet.inference.open_model import open_model
from mobilenet.network.architecture import DIALECTS, MobileNetV2
from mobilenet.network.weights import fit, read_parameters
from mobilenet.onnx.example_images import example_images
from mobilenet.onnx.export_verification import compare, verify_export
from mobilenet.onnx.exporter import export_network
from mobilenet.onnx.graph import GraphOptions
from mobilenet.onnx.metadata import Metadata
from mobilenet.onnx.runtime import OnnxModel
from mobilenet.runs.checkpoint import clear_after, newest_checkpoint, prune, save
from mobilenet.runs.checkpoint_folder import State
from mobilenet.runs.epoch_record import EpochRecord, Progress
from mobilenet.settings.schema import Config

ORIGIN_BYTES = 14_246_826  # of mobilenetv2-7.onnx in the zoo's ONNX_HUB_MANIFEST.json
ORIGIN_OPERATORS = {
    "Conv": 54,
    "BatchNormalization": 53,
    "Relu": 36,
    "Add": 10,
    "GlobalAveragePool": 1,
    "Reshape": 1,
}
CLASSES = tuple(f"n{index:08} class {index}" for index in range(5))
CONFIG = """
model: {width_multiplier: 0.35, classes: 5, dialect: DIALECT}
data: {directory: DIRECTORY, resolution: 48, mean: [0.4, 0.5, 0.6], std: [0.2, 0.3, 0.4]}
validation: {short_side: 50}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights, configuration, class names and images, as a user has them."""
    folder = tmp_path_factory.mktemp("export")
    text = CONFIG.replace("DIRECTORY", str(folder)).replace("DIALECT", "origin")
    (folder / "net.yaml").write_text(text)
    (folder / "synset.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    network = untrained_network(settings.load(Config, folder / "net.yaml"))
    arrays = {name: p.data() for name, p in network.collect_params().items()}
    mx.nd.waitall()
    mx.nd.save(str(folder / "net.params"), arrays)
    generator = np.random.default_rng(5)
    (folder / "images" / "some").mkdir(parents=True)
    for number in range(6):
        image = cv2.resize(generator.integers(0, 256, (6, 9, 3), np.uint8), (90, 60 + number))
        cv2.imwrite(str(folder / "images" / "some" / f"{number}.png"), image)
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> LoadedModel:
    return open_model(folder / "net.params", folder / "net.yaml")


def run(*arguments: object) -> int:
    return cli.main(["export", *map(str, arguments)])


def test_an_export_needs_nothing_but_its_file(model: LoadedModel, tmp_path: Path) -> None:
    """Opened again, the file prepares images as the network's configuration says."""
    result = export(model, tmp_path / "a.onnx")
    again = open_model(result.path)
    assert again.transform == model.transform
    assert again.class_names == CLASSES
    assert again.config.model == model.config.model
    metadata = OnnxModel(result.path).metadata
    digest = hashlib.sha256(model.path.read_bytes()).hexdigest()
    assert metadata.source == f"sha256:{digest}"
    assert metadata.short_side == 50
    data = np.random.default_rng(0).normal(size=(3, 3, 48, 48)).astype(np.float32)
    expected = model.predict(data)
    assert np.abs(again.predict(data) - expected).max() < 1e-4 * np.abs(expected).max()


def test_copies_of_the_weights_give_the_same_bytes(
    model: LoadedModel, folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "other-name.params"
    copy.write_bytes(model.path.read_bytes())
    first = export(model, tmp_path / "a.onnx").path
    second = export(open_model(copy, folder / "net.yaml"), tmp_path / "b.onnx").path
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("pixels", ["float", "uint8"])
def test_files_that_take_pixels_answer_alike(
    pixels: str, model: LoadedModel, folder: Path, tmp_path: Path
) -> None:
    """Whoever opens the file feeds it through its own preprocessing and gets the same logits."""
    transform = model.transform
    options = GraphOptions(resolution=48, normalization=transform.normalization, pixels=pixels)
    again = open_model(export(model, tmp_path / "a.onnx", options).path)
    encoded = (folder / "images" / "some" / "3.png").read_bytes()
    expected = model.predict(transform(encoded)[None])
    given = again.predict(again.transform(encoded)[None])
    assert np.abs(given - expected).max() < 1e-3 * np.abs(expected).max()


def test_the_origins_form_says_how_it_is_fed(model: LoadedModel, tmp_path: Path) -> None:
    """Weights that take another mean than ImageNet's would answer wrongly, and nobody would see."""
    normalization = model.transform.normalization
    options = GraphOptions(form="zoo", resolution=48, normalization=normalization)
    assert open_model(export(model, tmp_path / "z.onnx", options).path).transform == model.transform


def test_another_resolution_has_another_preprocessing(model: LoadedModel, tmp_path: Path) -> None:
    options = GraphOptions(resolution=32, normalization=model.transform.normalization)
    again = open_model(export(model, tmp_path / "a.onnx", options).path)
    assert again.transform == dataclasses.replace(model.transform, resolution=32, short_side=37)


def test_names_of_another_number_of_classes_are_refused(
    model: LoadedModel, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Answers would get wrong names or none, here and from every file that is exported."""
    (tmp_path / "synset.txt").write_text("".join(f"{name}\n" for name in CLASSES[:3]))
    data = f"data.directory={tmp_path}"
    assert run(folder / "net.params", "--config", folder / "net.yaml", data) == 2
    assert f"{tmp_path / 'synset.txt'}: has names of 3 classes" in capsys.readouterr().err
    file = export(model, tmp_path / "a.onnx", facts=Metadata(class_names=CLASSES[:3])).path
    image = folder / "images" / "some" / "0.png"
    assert cli.main(["predict", str(file), str(image)]) == 2
    assert f"{file}: has names of 3 classes, but the model has 5" in capsys.readouterr().err


def test_facts_are_added(model: LoadedModel, tmp_path: Path) -> None:
    facts = Metadata(top1_accuracy=0.25, num_validated=8)
    metadata = OnnxModel(export(model, tmp_path / "a.onnx", facts=facts).path).metadata
    assert (metadata.top1_accuracy, metadata.num_validated) == (0.25, 8)
    assert metadata.class_names == CLASSES


def test_runs_tell_what_they_measured(model: LoadedModel, folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run-7"
    run.mkdir()
    (run / "config.yaml").write_text((folder / "net.yaml").read_text())
    (run / "synset.txt").write_text((folder / "synset.txt").read_text())
    measured = [EpochRecord(e, e, 0.1, 1.0, 0.5, "minival", 40, 1.0, 0.6, 0.9) for e in (1, 2)]
    arrays = {name: p.data() for name, p in model.network.collect_params().items()}
    for number in (1, 2):
        progress = Progress(step=number, history=measured[:number])
        state = State(progress, "", {}, "parameters")
        checkpoint = save(run, state, {"parameters": arrays})
    facts = {"top1_accuracy": 0.6, "top5_accuracy": 0.9, "num_validated": 40}
    for path, source in ((run, "run-7"), (checkpoint, f"run-7/checkpoints/{checkpoint.name}")):
        metadata = OnnxModel(export(open_model(path), tmp_path / "a.onnx").path).metadata
        assert metadata.source == source
        assert {name: getattr(metadata, name) for name in facts} == facts
        assert metadata.validated_on == "minival"
        assert re.fullmatch(r"[12] of \d+ epochs at \d+ px .*, from .*", metadata.trained)
    changed = open_model(run, overrides=["validation.short_side=60"])
    metadata = OnnxModel(export(changed, tmp_path / "a.onnx").path).metadata
    assert (metadata.source, metadata.top1_accuracy) == ("run-7", None)


def test_a_run_is_called_by_its_folder_from_inside(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_folder = tmp_path / "run-7"
    run_folder.mkdir()
    (run_folder / "config.yaml").write_text((folder / "net.yaml").read_text())
    arrays = read_parameters(folder / "net.params")
    measured = [EpochRecord(1, 1, 0.1, 1.0, 0.5, "val", 40, 1.0, 0.6, 0.9)]
    state = State(Progress(step=1, history=measured), "", {}, "parameters")
    save(run_folder, state, {"parameters": arrays})
    monkeypatch.chdir(run_folder)
    assert run(".") == 0
    assert OnnxModel(tmp_path / "run-7.onnx").metadata.source == "run-7"


def test_what_is_exported_beside_checkpoints_is_none_of_them(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text((folder / "net.yaml").read_text())
    arrays = read_parameters(folder / "net.params")
    states = [State(Progress(step=step), "", {}, "parameters") for step in (1, 2)]
    first, second = (save(tmp_path, state, {"parameters": arrays}) for state in states)
    assert run(second) == 0
    exported = second.with_name(f"{second.name}.onnx")
    assert exported.is_file()
    newest = newest_checkpoint(tmp_path, warn=pytest.fail)
    assert newest.path == second
    clear_after(tmp_path, newest, lambda _: None)
    prune(tmp_path, keep_last=2, keep_every_epochs=None)
    assert first.is_dir()
    assert exported.is_file()


def test_real_images_are_part_of_the_proof(
    model: LoadedModel, folder: Path, tmp_path: Path
) -> None:
    alone = export(model, tmp_path / "a.onnx").difference
    both = export(model, tmp_path / "a.onnx", images=folder / "images").difference
    assert both.num_images == alone.num_images + 6 == both.num_same_class


def test_examples_are_spread_and_cropped(folder: Path, tmp_path: Path) -> None:
    transform = EvalTransform(resolution=32, short_side=40)
    images = example_images(folder / "images", transform, 3)
    for image, number in zip(images, (0, 2, 4)):
        encoded = (folder / "images" / "some" / f"{number}.png").read_bytes()
        assert (image == transform.planes(encoded)).all()
    with pytest.raises(DataError, match="no images"):
        example_images(tmp_path, transform, 3)
    (tmp_path / "bad.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"bad\.png"):
        example_images(tmp_path, transform, 3)


def test_records_are_found_in_their_folder(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of --data, and without it the validation records that the configuration names."""
    for name in ("train", "val"):
        with RecordWriter(tmp_path / f"{name}.rec", tmp_path / f"{name}.idx") as writer:
            for key in range(6 if name == "val" else 1):
                picture = folder / "images" / "some" / f"{key}.png"
                writer.write(key, key % 5, picture.read_bytes())
    arguments = [folder / "net.params", "--config", folder / "net.yaml"]
    arguments += ["--output", tmp_path / "a.onnx", "--json", tmp_path / "a.json"]
    own = f"data.directory={tmp_path}"
    package_folder = tmp_path / "pk"
    for given, images in (
        (["--data", tmp_path, "--package", package_folder], tmp_path),
        ([own, "--package", package_folder], tmp_path / "val.rec"),
    ):
        assert run(*arguments, *given) == 0
        said = capsys.readouterr().out
        assert f"on 16 images, random and of {images}, outputs" in said
        # Images that are named are also what the file's accuracy is measured on.
        measured = re.search(r"Accuracy: top-1 .* on 6 images .*", said)
        assert (measured is not None) == ("--data" in given)
        card = (package_folder / "README.md").read_text()
        assert f"* {measured[0] if measured else 'Accuracy: not stated in the file'}\n" in card
        result = json.loads((tmp_path / "a.json").read_text())
        assert (result["difference"]["num_images"], result["images"]) == (16, str(images))
    assert "* Sample test data: 3 images of val.rec" in (package_folder / "README.md").read_text()
    (tmp_path / "val.rec").unlink()
    assert run(*arguments, own) == 0
    assert "on 10 random images outputs" in capsys.readouterr().out
    assert run(*arguments, "--data", tmp_path) == 0
    assert "on 11 images, random and" in capsys.readouterr().out


def test_real_images_come_in_batches_of_the_same_sizes(model: LoadedModel) -> None:
    sizes = []

    def predict(data: np.ndarray) -> np.ndarray:
        sizes.append(len(data))
        return np.zeros((len(data), 5), np.float32)

    images = np.zeros((12, 3, 32, 32), np.uint8)
    compare(SimpleNamespace(predict=predict), model.network, GraphOptions(resolution=32), images)
    assert sizes == [1, 2, 7, 1, 2, 7, 2]


class TwoFaced(nn.HybridBlock):
    """Computes one thing and shows another to whoever asks for its graph."""

    def __init__(self, offset: float) -> None:
        super().__init__(prefix="")
        self.network = MobileNetV2(0.35, 5)
        self.network.initialize(mx.init.MSRAPrelu())
        self._offset = offset

    def hybrid_forward(self, F, x):
        y = self.network(x)
        return y if F is mx.sym else y + mx.nd.array([[0, self._offset, 0, 0, 0]])


@pytest.mark.parametrize("softmax", [False, True])
def test_a_failed_proof_leaves_what_was_there(softmax: bool, tmp_path: Path) -> None:
    output = tmp_path / "a.onnx"
    options = GraphOptions(resolution=32, softmax=softmax)
    with pytest.raises(VerificationError, match="than MXNet") as caught:
        export_network(TwoFaced(3.0), output, options)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    export_network(TwoFaced(0.0), output, options)
    before = output.read_bytes()
    with pytest.raises(VerificationError):
        export_network(TwoFaced(3.0), output, options)
    assert list(tmp_path.iterdir()) == [output]
    assert output.read_bytes() == before


def test_a_damaged_graph_does_not_pass(tmp_path: Path) -> None:
    """What onnx itself objects to is told in a sentence."""
    network = TwoFaced(0.0)
    result = export_network(network, tmp_path / "a.onnx", GraphOptions(resolution=32))
    damaged = onnx.load(str(result.path))
    damaged.graph.node[0].attribute.append(onnx.helper.make_attribute("colour", 7))
    result.path.write_bytes(damaged.SerializeToString())
    with pytest.raises(VerificationError, match="onnx refuses") as caught:
        verify_export(result.path, network, GraphOptions(resolution=32))
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_finite_are_named(folder: Path, tmp_path: Path) -> None:
    network = MobileNetV2(0.35, 5, DIALECTS["origin"])
    network.initialize()
    fit(network, read_parameters(folder / "net.params"), folder / "net.params")
    parameter = network.collect_params()["head_norm_gamma"]
    parameter.set_data(parameter.data() * np.inf)
    with pytest.raises(UserError, match="head_norm_gamma"):
        export_network(network, tmp_path / "a.onnx", GraphOptions(resolution=48))
    assert list(tmp_path.iterdir()) == []


def test_an_onnx_file_is_exported_again_as_a_network(model: LoadedModel, tmp_path: Path) -> None:
    path = export(model, tmp_path / "a.onnx").path
    with pytest.raises(UserError, match="not as a network"):
        export(open_model(path), tmp_path / "b.onnx")
    again = export(open_model(path, as_network=True), tmp_path / "b.onnx")
    assert again.complexity == export(model, tmp_path / "c.onnx").complexity


def test_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.json"
    arguments = [folder / "net.params", "--config", folder / "net.yaml", "--json", report]
    arguments += ["--form", "zoo", "--batch", 2, "--data", folder / "images", "--opset", 12]
    arguments += ["--output", tmp_path / "z.onnx", "--resolution", "any"]
    assert run(*arguments) == 0
    result = json.loads(report.read_text())
    assert result["operators"]["BatchNormalization"] == 53
    assert result["num_bytes"] == (tmp_path / "z.onnx").stat().st_size
    assert result["difference"]["num_images"] == 1 + 2 + 7 + 2 + 6
    (opset,) = onnx.load(str(tmp_path / "z.onnx")).opset_import
    assert opset.version == 12
    assert "opset 12" in capsys.readouterr().out


def test_the_command_without_weights(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.yaml"
    path.write_text((folder / "net.yaml").read_text())
    arguments = [path, "training.seed=3", "--untrained", "--pixels", "uint8", "--half"]
    assert run(*arguments) == 0
    model = OnnxModel(tmp_path / "net.onnx")
    assert (model.metadata.source, model.dtype) == ("untrained", np.uint8)
    capsys.readouterr()
    assert run(*arguments, "--data", folder) == 2
    assert capsys.readouterr().err == "mobilenet export: --data has no effect with --untrained\n"


def test_the_command_rebuilds_the_origins_file(tmp_path: Path) -> None:
    """To the byte, though the file says that its weights are random."""
    path, config = tmp_path / "o.onnx", "configs/imagenet/mobilenetv2_1.0-origin.yaml"
    arguments = [config, "--form", "zoo", "--untrained", "--output", path]
    for batch, num_bytes in ((("--batch", 1), ORIGIN_BYTES), ((), ORIGIN_BYTES + 10)):
        assert run(*arguments, "--json", tmp_path / "o.json", *batch) == 0
        assert path.stat().st_size == num_bytes
        assert json.loads((tmp_path / "o.json").read_text())["operators"] == ORIGIN_OPERATORS
        assert OnnxModel(path).metadata == Metadata(source="untrained")
    assert len(onnx.load(str(path)).metadata_props) == 0


def test_mistakes_leave_nothing_behind(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_folder = tmp_path / "run"
    run_folder.mkdir()
    (run_folder / "config.yaml").write_text((folder / "net.yaml").read_text())
    weights = [folder / "net.params", "--config", folder / "net.yaml"]
    mistakes = {
        "checkpoint": [run_folder, "--output", tmp_path / "a.onnx"],
        "no such file": [tmp_path / "b.params", "--output", tmp_path / "a.onnx"],
        "do not fit": [*weights, "model.classes=6", "--output", tmp_path / "a.onnx"],
        "there are no images": [*weights, "--data", run_folder, "--output", tmp_path / "a.onnx"],
        "has 6 images; 7 are needed": [
            *(*weights, "--output", tmp_path / "a.onnx", "--data", folder / "images"),
            *("--package", tmp_path / "pk", "--examples", 7),
        ],
        "names end in .mar": [
            *weights,
            "--output",
            tmp_path / "a.onnx",
            "--mar",
            tmp_path / "c.zip",
        ],
        "run is a folder; name a file": [*weights, "--output", run_folder],
        "net.yaml would replace what it is made from": [*weights, "--output", folder / "net.yaml"],
        "net.params would replace what it": [*weights, "--output", folder / "net.params"],
        "net has to end in .onnx for --code, --package, --mar, ": [
            *(*weights, "--output", tmp_path / "net", "--package", tmp_path / "pk")
        ],
        "--code cpp: OpenCV computes this model wrongly at 32 px": [
            *(*weights, "--output", tmp_path / "a.onnx", "--code", "py,cpp", "--resolution", "32")
        ],
        "config.yaml is not a folder": [
            *(*weights, "--resolutions", "32,64", "--output", run_folder / "config.yaml")
        ],
    }
    before = sorted(tmp_path.rglob("*"))
    for message, arguments in mistakes.items():
        assert run(*arguments) == 2
        captured = capsys.readouterr()
        assert message in captured.err
        assert (captured.out, captured.err.count("\n")) == ("", 1)
        assert sorted(tmp_path.rglob("*")) == before


def test_family_of_sizes(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [folder / "net.yaml", "--untrained", "--output", tmp_path / "f"]
    arguments += ["--widths", "0.5,0.1,0.5", "--resolutions", "64,32,32", "--batch", 1]
    arguments += ["--json", tmp_path / "f.json"]
    assert run(*arguments) == 0
    members = json.loads((tmp_path / "f.json").read_text())
    names = [Path(member["path"]).name for member in members]
    assert names == [f"mobilenetv2_{w}-{r}.onnx" for w in ("0.1", "0.5") for r in (32, 64)]
    assert sorted(p.name for p in (tmp_path / "f").iterdir()) == names
    for member in members:
        assert OnnxModel(Path(member["path"])).metadata.source == "untrained"
        assert member["num_bytes"] == Path(member["path"]).stat().st_size
        assert member["latency_seconds"] > 0
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 2 + 4
    assert f"{members[0]['multiply_adds']:,}" in table[2]


def test_a_family_is_proven_on_real_images(folder: Path, tmp_path: Path) -> None:
    arguments = [folder / "net.params", "--config", folder / "net.yaml", "--output", tmp_path]
    arguments += ["--resolutions", "32,48", "--data", folder / "images"]
    assert run(*arguments, "--json", tmp_path / "f.json") == 0
    members = json.loads((tmp_path / "f.json").read_text())
    assert [member["difference"]["num_images"] for member in members] == [16, 16]


def test_family_of_models(model: LoadedModel, tmp_path: Path) -> None:
    other = dataclasses.replace(model, path=tmp_path / "other.params")
    other.path.write_bytes(model.path.read_bytes())
    members = list(export_family([model, other], (), tmp_path, GraphOptions(softmax=True)))
    assert [member.result.path.name for member in members] == ["net.onnx", "other.onnx"]
    assert open_model(members[1].result.path).transform == model.transform
    with pytest.raises(UserError, match="two of the models"):
        list(export_family([model, model], (), tmp_path, GraphOptions()))
    members = list(export_family([model], (32, 64), tmp_path, GraphOptions()))
    assert [member.result.path.name for member in members] == ["net-32.onnx", "net-64.onnx"]
    assert [OnnxModel(member.result.path).resolution for member in members] == [(32, 32), (64, 64)]


def test_a_bad_member_leaves_the_others_of_a_family(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = mx.nd.load(str(folder / "net.params"))
    name = next(name for name in arrays if name.endswith("gamma"))
    mx.nd.save(str(tmp_path / "bad.params"), {**arrays, name: arrays[name] * np.nan})
    shutil.copy(folder / "net.params", tmp_path / "good.params")
    models = [tmp_path / "bad.params", tmp_path / "good.params", "--config", folder / "net.yaml"]
    output, result = tmp_path / "family", tmp_path / "f.json"
    assert run(*models, "--output", output, "--json", result) == 1
    (member,) = json.loads(result.read_text())
    assert [path.name for path in output.iterdir()] == [Path(member["path"]).name] == ["good.onnx"]
    said = capsys.readouterr()
    assert said.out.splitlines()[2].startswith("| good.onnx |")
    assert said.err.splitlines()[-1] == "mobilenet export: 1 of 2 files left out: bad.onnx"


@pytest.fixture(scope="module")
def packaged(model: LoadedModel, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a package made of real images."""
    place = tmp_path_factory.mktemp("package")
    facts = Metadata(top1_accuracy=0.7204, top5_accuracy=0.9057)
    options = GraphOptions(resolution=48, normalization=model.transform.normalization)
    file = export(model, place / "mobilenetv2_0.35.onnx", options, facts=facts).path
    package(file, place / "out", folder / "images", num_examples=2)
    return place / "out"


def test_archive_is_what_the_zoo_checks(packaged: Path, model: LoadedModel, folder: Path) -> None:
    """One folder, one model, data sets named test..., outputs that isclose by 1e-3."""
    with tarfile.open(packaged / "mobilenetv2_0.35-7.tar.gz") as tar:
        names = tar.getnames()
        content = {name: tar.extractfile(name).read() for name in names}
    assert {name.split("/")[0] for name in names} == {"mobilenetv2_0.35-7"}
    (onnx_name,) = (name for name in names if name.endswith(".onnx"))
    assert content[onnx_name] == (packaged / "mobilenetv2_0.35-7.onnx").read_bytes()
    for index, number in enumerate((0, 3)):
        prefix = f"mobilenetv2_0.35-7/test_data_set_{index}"
        given, expected = (
            onnx.TensorProto.FromString(content[f"{prefix}/{kind}_0.pb"])
            for kind in ("input", "output")
        )
        assert (given.name, expected.name) == ("data", "logits")
        data = numpy_helper.to_array(given)
        encoded = (folder / "images" / "some" / f"{number}.png").read_bytes()
        np.testing.assert_allclose(data, model.transform(encoded)[None], atol=1e-5)
        logits = model.predict(data)
        assert np.isclose(numpy_helper.to_array(expected), logits, rtol=1e-3, atol=1e-3).all()


def test_manifest_entry_and_model_card(packaged: Path) -> None:
    entry = json.loads((packaged / "mobilenetv2_0.35-7.json").read_text())
    facts = entry["metadata"]
    for kind, name in (("model", ".onnx"), ("model_with_data", ".tar.gz")):
        content = (packaged / f"mobilenetv2_0.35-7{name}").read_bytes()
        assert facts[f"{kind}_sha"] == hashlib.sha256(content).hexdigest()
        assert facts[f"{kind}_bytes"] == len(content)
    assert entry["opset_version"] == 7
    assert facts["io_ports"] == {
        "inputs": [{"name": "data", "shape": ["N", 3, 48, 48], "type": "tensor(float)"}],
        "outputs": [{"name": "logits", "shape": ["N", 5], "type": "tensor(float)"}],
    }
    card = (packaged / "README.md").read_text()
    assert card.startswith("# MobileNet v2 of width 0.35\n")
    # ONNX 1.2 has opset 7; the version of the package that wrote the file says nothing.
    assert entry["onnx_version"] == "1.2"
    assert "| 1.2 | 7 | 72.04 | 90.57 |" in card
    for line in (
        "* Classes: 5",
        "* Accuracy: top-1 72.04 %, top-5 90.57 %",
        "* Training: not stated in the file",
        "* Licence of the weights: not stated in the file",
        "* Sample test data: 2 images of images",
    ):
        assert f"\n{line}\n" in card
    for beginning in ("Proof: before it got its name", "Intended use: ", "Limits: ", "Input: the"):
        assert f"\n* {beginning}" in card
    code = card.partition("```python\n")[2].partition("```")[0]
    assert code == (packaged / "mobilenetv2_0.35-7_example.py").read_text()
    assert (packaged / "synset.txt").read_text().splitlines() == list(CLASSES)


def test_packages_are_the_same_bytes_wherever_they_are_made(packaged: Path, tmp_path: Path) -> None:
    source = packaged / "mobilenetv2_0.35-7.onnx"
    made = [package(source, tmp_path / name).archive for name in ("a", "b")]
    assert made[0].read_bytes() == made[1].read_bytes()
    header = made[0].read_bytes()[:10]
    assert header[:4] == b"\x1f\x8b\x08\x00"  # no file name
    assert header[4:8] == bytes(4)  # no time
    with tarfile.open(fileobj=gzip.open(made[0])) as tar:
        assert {(m.mtime, m.uid, m.gid, m.uname) for m in tar} == {(0, 0, 0, "")}


def test_the_command_packages_what_it_exports(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [folder / "net.params", "--config", folder / "net.yaml", "--package", tmp_path]
    arguments += ["--output", tmp_path / "net.onnx", "--data", folder / "images", "--examples", 1]
    assert run(*arguments) == 0
    *others, _, _, _ = lines = capsys.readouterr().out.splitlines()
    assert others[-1].startswith("Accuracy: not measured, because ")  # they have no labels
    lines = lines[-3:]
    made = [tmp_path / name for name in ("net-7.tar.gz", "net-7.json", "README.md")]
    assert lines == [f"Package: {path}" for path in made]
    assert all(path.is_file() for path in made)


USELESS = {
    "--examples has no effect without --package": ["net.params", "--examples", 2],
    "--widths has no effect without --untrained": ["net.params", "--widths", "0.5,1"],
    "--package has no effect on a family": ["a", "b", "--package", "p", "--output", "o"],
    "a family needs --output: the folder for its files": ["a", "b"],
    "--untrained takes one YAML file, not several": ["a", "b", "--untrained"],
    "no MODEL is given, only settings": ["model.classes=3"],
}


@pytest.mark.parametrize("message", USELESS)
def test_what_has_no_effect_is_refused(message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*USELESS[message]) == 2
    assert capsys.readouterr().err == f"mobilenet export: {message}\n"


def test_fixed_batches_are_packaged_whole(model: LoadedModel, tmp_path: Path) -> None:
    options = GraphOptions(form="zoo", batch=2, resolution=48)
    file = export(model, tmp_path / "z.onnx", options).path
    with tarfile.open(package(file, tmp_path / "out", num_examples=1).archive) as tar:
        data = tar.extractfile("z-7/test_data_set_0/output_0.pb").read()
    tensor = onnx.TensorProto.FromString(data)
    assert (tensor.name, list(tensor.dims)) == ("mobilenetv20_output_flatten0_reshape0", [2, 5])


def test_what_cannot_be_packaged(folder: Path, model: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="export the model first"):
        package(folder / "net.params", tmp_path)
    file = export(model, tmp_path / "a.onnx").path
    with pytest.raises(DataError, match="has 6 images; 7 are needed"):
        package(file, tmp_path / "out", folder / "images", num_examples=7)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.shared_data
def test_real_weights_give_the_recorded_logits(shared: Path, tmp_path: Path) -> None:
    weights = shared / "weights" / "mobilenetv2_1.0-imagenet.params"
    check = np.load(shared / "weights" / "mobilenetv2_1.0-imagenet-check.npz")
    network = MobileNetV2(1.0, 1000, DIALECTS["gluoncv"])
    network.initialize()
    fit(network, read_parameters(weights), weights)
    transform = EvalTransform(resolution=225, short_side=257, normalization=TENSORFLOW)
    images = example_images(shared / "data" / "imagenet-sample" / "images", transform, 8)
    for form in ("portable", "zoo"):
        options = GraphOptions(form=form, resolution=225, normalization=TENSORFLOW)
        path = tmp_path / f"{form}.onnx"
        result = export_network(network, path, options, images=images)
        assert result.difference.relative < 1e-5
        assert np.abs(OnnxModel(path).predict(check["data"]) - check["logits"]).max() < 1e-3


FORMS = [
    {},
    {"form": "zoo"},
    {"half_weights": True},
    {"softmax": True},
    {"pixels": "uint8"},
    {"pixels": "float"},
    {"opset": 13},
    {"batch": 4},
    {"resolution": None},
]


@pytest.mark.slow
@pytest.mark.shared_data
def test_real_weights_keep_every_answer_in_every_form(shared: Path, tmp_path: Path) -> None:
    weights = shared / "weights" / "mobilenetv2_1.0-imagenet.params"
    images = shared / "data" / "imagenet-sample" / "images"
    overrides = ["data.resolution=225", "validation.short_side=257", "model.dialect=gluoncv"]
    overrides += [f"data.{name}=[0.5, 0.5, 0.5]" for name in ("mean", "std")]
    (tmp_path / "net.yaml").write_text("{}")
    model = open_model(weights, tmp_path / "net.yaml", overrides)
    pixels = example_images(images, model.transform, 300)
    assert len(pixels) == 300
    expected = answers(model, pixels)
    for chosen in FORMS:
        options = GraphOptions(**{"resolution": 225, "normalization": TENSORFLOW, **chosen})
        again = open_model(export(model, tmp_path / "a.onnx", options).path)
        num_same = int((answers(again, pixels) == expected).sum())
        # Half precision rounds the weights: an image between two classes falls to the other side.
        assert num_same >= (299 if options.half_weights else 300), chosen


def answers(model: LoadedModel, pixels: np.ndarray) -> np.ndarray:
    """The best class of each image, in batches of 50."""
    normalise = model.transform.normalization
    parts = [model.predict(normalise(part)) for part in np.split(pixels, len(pixels) // 50)]
    return np.concatenate(parts).argmax(axis=1)
