"""The commands of validation, run on a small network; what they count is counted again by hand."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import onnx
import pytest
from scipy import special
from told import assert_told

from mobilenet import cli
from mobilenet.data.record_file import RecordWriter
from mobilenet.inference.open_model import open_model
from mobilenet.network.architecture import MobileNetV2
from mobilenet.onnx.runtime import OnnxModel

CLASSES, IMAGES, RESOLUTION, SHORT_SIDE = 7, 23, 48, 56
MEAN, STD = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.25, 0.3])
REPOSITORY = Path(__file__).parent.parent.parent

CONFIG = f"""
model:
  width_multiplier: 0.1
  classes: {CLASSES}
data:
  directory: DIRECTORY
  resolution: {RESOLUTION}
  mean: [0.4, 0.5, 0.6]
  std: [0.2, 0.25, 0.3]
validation:
  batch_size: 5
  short_side: {SHORT_SIDE}
"""


def photograph(seed: int) -> np.ndarray:
    """Smooth blobs of colour, BGR, of a size of their own."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 5, 3), np.uint8)
    size = (int(rng.integers(70, 110)), int(rng.integers(60, 100)))
    return cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def network() -> MobileNetV2:
    mx.random.seed(1)
    network = MobileNetV2(0.1, CLASSES)
    network.initialize(mx.init.Xavier(magnitude=2))
    # Statistics of real activations: with the initial ones every image looks the same.
    images = mx.nd.array([preprocessed(photograph(100 + k)) for k in range(16)])
    with mx.autograd.train_mode():
        for _ in range(5):
            network(images).wait_to_read()
    return network


def preprocessed(image: np.ndarray) -> np.ndarray:
    """The centre crop written out, without the package."""
    height, width = image.shape[:2]
    shorter = min(height, width)
    size = (width * SHORT_SIDE // shorter, height * SHORT_SIDE // shorter)
    resized = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    top, left = (resized.shape[0] - RESOLUTION) // 2, (resized.shape[1] - RESOLUTION) // 2
    crop = resized[top : top + RESOLUTION, left : left + RESOLUTION, ::-1]
    return ((crop / 255 - MEAN) / STD).astype(np.float32).transpose(2, 0, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, network: MobileNetV2) -> Path:
    """Records, weights and configuration; a third of the labels is what the network answers."""
    folder = tmp_path_factory.mktemp("validation")
    answers = logits_of(network).argmax(axis=1)
    with RecordWriter(folder / "val.rec", folder / "val.idx") as writer:
        for k in range(IMAGES):
            image = cv2.imencode(".png", photograph(k))[1].tobytes()
            writer.write(k, int(answers[k]) if k % 3 == 0 else k % CLASSES, image)
    network.collect_params().save(str(folder / "model.params"))
    (folder / "config.yaml").write_text(CONFIG.replace("DIRECTORY", str(folder)))
    return folder


def logits_of(network: MobileNetV2) -> np.ndarray:
    images = np.stack([preprocessed(photograph(k)) for k in range(IMAGES)])
    return network(mx.nd.array(images)).asnumpy()


def command(folder: Path, *arguments: str) -> list[str]:
    name, *rest = arguments
    return [name, str(folder / "model.params"), "--config", str(folder / "config.yaml"), *rest]


def validated(folder: Path, *arguments: str) -> dict[str, object]:
    output = folder / "result.json"
    assert cli.main(command(folder, "validate", "--json", str(output), *arguments)) == 0
    return json.loads(output.read_text())


@pytest.fixture(scope="module")
def result(folder: Path) -> dict[str, object]:
    return validated(folder)


def test_counts_are_those_by_hand(network: MobileNetV2, result: dict[str, object]) -> None:
    logits = logits_of(network)
    answers = logits.argmax(axis=1)
    labels = np.array([answers[k] if k % 3 == 0 else k % CLASSES for k in range(IMAGES)])
    best = np.argsort(-logits, axis=1)
    assert result["num_images"] == IMAGES
    assert result["num_top1"] == np.sum(answers == labels)
    assert result["num_top5"] == np.sum(best[:, :5] == labels[:, None])
    losses = -special.log_softmax(logits.astype(np.float64), axis=1)[range(IMAGES), labels]
    assert result["loss"] == pytest.approx(losses.mean(), rel=1e-4)
    assert len(set(answers.tolist())) > 1  # the network is not blind
    assert IMAGES / 3 < result["num_top1"] < result["num_top5"]


@pytest.mark.parametrize("size, threads", [(1, 1), (4, 3), (100, 0)])
def test_batches_and_threads_change_nothing(
    folder: Path, result: dict[str, object], size: int, threads: int
) -> None:
    settings = (f"validation.batch_size={size}", f"data.num_workers={threads}")
    other = validated(folder, *settings)
    for key in ("num_images", "num_top1", "num_top5"):
        assert other[key] == result[key]
    assert other["loss"] == pytest.approx(result["loss"], rel=1e-5)


def test_expectations_decide_the_exit_code(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = ["--expect", "top1=1.0", "--expect", "top5=0.1"]
    assert cli.main(command(folder, "validate", *expected, "--tolerance", "0.9")) == 0
    assert "as expected: top-1" in capsys.readouterr().out
    assert cli.main(command(folder, "validate", *expected)) == 1
    assert "the accuracy is too low: top-1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--expect", "top1=71"], "'top1=71' is no expected accuracy"),
        (["--expect", "published"], "are of the 50000 validation images"),
        (["--expect", "published", "--tolerance", "5"], "the tolerance 5 is not a fraction"),
        (["--expect", "published", "--tolerance", "nan"], "the tolerance nan is not a fraction"),
        (["--expect", "published", "--views", "flip"], "all classes: leave out --views"),
        (["--expect", "published", "--restrict"], "all classes: leave out --restrict"),
        (["--expect", "published", "--classes", "some.txt"], "classes: leave out --classes"),
        (["--classes", "/nowhere/some.txt"], "/nowhere/some.txt: cannot be read"),
        (["--classes", __file__], "is none of the model's 7 classes, such as 'class 0'"),
        (["--classes", "some.txt", "--labels", "real.json"], "--classes cannot drop some of them"),
        (["--classes", "some.txt", "--against", "other"], "--classes has no effect with --against"),
        (["--tolerance", "0.01"], "--tolerance has no effect without --expect"),
        (["--tolerance", "0", "--against", "other"], "--tolerance has no effect without --expect"),
        (["--data", "/nowhere/val.rec"], "/nowhere/val.rec: there is no record file"),
        (["model.classes=6"], "classifier_weight is (7,"),
        (["data.resolution=64"], "short_side"),
        (["--labels", "/nowhere/real.json"], "/nowhere/real.json: cannot be read"),
    ],
)
def test_mistakes_are_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert cli.main(command(folder, "validate", *arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_labels_beyond_the_classes_are_a_mistake(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with RecordWriter(tmp_path / "val.rec", tmp_path / "val.idx") as writer:
        writer.write(0, CLASSES, b"never read")
    assert cli.main(command(folder, "validate", "--data", str(tmp_path))) == 2
    assert "record 0 has the label 7, but there are 7 classes, 0 to 6" in capsys.readouterr().err


def test_the_script_writes_a_report(folder: Path, tmp_path: Path) -> None:
    """As its user runs it; results on the standard output alone."""
    script = [sys.executable, str(REPOSITORY / "validate.py")]
    arguments = command(folder, "validate", "--report", str(tmp_path / "report"))[1:]
    result = subprocess.run(
        [*script, *arguments], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("top-1 ")
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "metrics.json",
        "predictions.csv",
        "report.html",
    }


def test_compare_audit_and_predict(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, config = str(folder / "model.params"), ["--config", str(folder / "config.yaml")]
    assert cli.main(["validate", weights, "--against", weights, *config]) == 0
    assert "difference of top-1 +0.00 points; right in one only: 0 and 0" in capsys.readouterr().out
    assert cli.main(command(folder, "audit", "--resolutions", "48,64")) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    path = tmp_path / "photograph.png"
    cv2.imwrite(str(path), photograph(3))
    assert cli.main(["predict", weights, str(path), *config, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["image"] == str(path)
    assert len(answer["guesses"]) == 5
    assert answer["guesses"][0]["name"] == f"class {answer['guesses'][0]['label']}"


def test_predict_keeps_the_good_answers_beside_a_bad_file(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), photograph(number))
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:200])
    weights, config = str(folder / "model.params"), ["--config", str(folder / "config.yaml")]
    assert cli.main(["predict", weights, str(tmp_path), *config, "--json"]) == 1
    output = capsys.readouterr()
    answers = [json.loads(line)["image"] for line in output.out.splitlines()]
    assert answers == [f"{tmp_path}/0.png", f"{tmp_path}/2.png"]
    assert output.err.endswith(f"mobilenet predict: 1 of 3 images left out: {tmp_path}/1.png\n")
    assert_told(output.err, "a bad image among several, in `predict`")
    # A single file that is bad is a mistake in the call.
    assert cli.main(["predict", weights, str(tmp_path / "1.png"), *config]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"mobilenet predict: {tmp_path}/1.png: the image")


def test_onnx_file(
    folder: Path,
    result: dict[str, object],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, output = tmp_path / "model.onnx", tmp_path / "result.json"
    assert cli.main(command(folder, "export", "--output", str(path))) == 0
    validate = ["validate", str(path), "--data", str(folder)]
    assert cli.main([*validate, "--json", str(output)]) == 0
    found = json.loads(output.read_text())
    assert found["transform"] == result["transform"]
    assert [found[key] for key in ("num_images", "num_top1", "num_top5")] == [
        result[key] for key in ("num_images", "num_top1", "num_top5")
    ]
    assert found["loss"] == pytest.approx(result["loss"], rel=1e-4)
    capsys.readouterr()
    for settings, message in (
        (["model.classes=6"], "model.onnx: has 7 classes, but model.classes is 6"),
        (["data.resolution=64", "validation.short_side=72"], "model.onnx takes images of 3x48x48"),
    ):
        assert cli.main([*validate, *settings]) == 2
        captured = capsys.readouterr()
        assert message in captured.err
        assert captured.err.count("\n") == 1


def test_a_configuration_is_for_the_model_that_lacks_one(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that normalises pixels itself would be given normalised ones."""
    path, config = str(tmp_path / "pixels.onnx"), ["--config", str(folder / "config.yaml")]
    assert cli.main(command(folder, "export", "--pixels", "uint8", "--output", path)) == 0
    capsys.readouterr()
    assert cli.main(command(folder, "validate", "--against", path)) == 0
    assert f"the same answer to {IMAGES} images" in capsys.readouterr().out
    data = ["--data", str(folder)]
    for alone in (["validate", path], ["validate", path, "--against", path], ["audit", path]):
        assert cli.main([*alone, *config, *data]) == 2
        captured = capsys.readouterr()
        assert "pixels.onnx: has its own preprocessing" in captured.err
        assert captured.err.count("\n") == 1
    foreign = onnx.load(path)
    del foreign.metadata_props[:]
    onnx.save(foreign, path)
    pixels = ["data.mean=[0,0,0]", f"data.std=[{1 / 255},{1 / 255},{1 / 255}]"]
    assert cli.main(["validate", path, *config, *data, *pixels]) == 0
    # Nor does anything say now which network it is, and so which published accuracy is its own.
    capsys.readouterr()
    expect = ["validate", path, *data, "--expect", "published"]
    for settings, message in (
        ([], "pixels.onnx: does not say its dialect and width"),
        (["model.dialect=paper"], "does not say its dialect and width"),
        (["model.dialect=paper", "model.width_multiplier=1"], "are of the 50000 validation images"),
    ):
        assert cli.main([*expect, *settings]) == 2
        assert message in capsys.readouterr().err


def test_mxnets_importer_computes_an_onnx_file(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, data = str(tmp_path / "model.onnx"), ["--data", str(folder)]
    # Batches of 5 do not fill those of the file.
    export = ["export", "--softmax", "--batch", "3", "--output", path]
    assert cli.main(command(folder, *export)) == 0
    capsys.readouterr()
    assert cli.main(["validate", path, *data, "--engine", "mxnet", "--against", path]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"{path} (by MXNet): top-1 ")
    assert f"the same answer to {IMAGES} images" in told
    for options, message in (
        (["--pixels", "uint8"], "takes uint8, which MXNet's importer does not know"),
        (["--opset", "13"], "MXNet's importer cannot read it, as it knows only opset 7"),
        (["--half"], "MXNet's importer cannot read it, as it knows only opset 7"),
    ):
        assert cli.main(command(folder, "export", *options, "--output", path)) == 0
        capsys.readouterr()
        assert cli.main(["validate", path, *data, "--engine", "mxnet"]) == 2
        captured = capsys.readouterr()
        assert message in captured.err
        assert captured.out == "" and captured.err.count("\n") == 1


def test_a_network_by_onnx_runtime(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = []
    for engine in ("mxnet", "onnxruntime"):
        answer = tmp_path / f"{engine}.json"
        options = ["--engine", engine, "--json", str(answer)]
        assert cli.main(command(folder, "validate", *options)) == 0
        results.append(json.loads(answer.read_text()))
        assert results[-1]["engine"] == (None if engine == "mxnet" else engine)
    first, second = results
    assert second["num_top1"] == first["num_top1"] > 0
    assert second["loss"] == pytest.approx(first["loss"], rel=1e-5)
    model = open_model(folder / "model.params", folder / "config.yaml", engine="onnxruntime")
    assert isinstance(model.predict.__self__, OnnxModel)
    itself = ["--against", str(folder / "model.params"), "--engine", "onnxruntime"]
    capsys.readouterr()
    assert cli.main(command(folder, "validate", *itself)) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"{folder / 'model.params'} (by ONNX Runtime): top-1 ")
    assert "the same answer to 23 images" in told


def test_history_of_a_run(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in ("train", "val"):
        for suffix in (".rec", ".idx"):
            shutil.copy(folder / f"val{suffix}", data / f"{name}{suffix}")
    run, page, output = tmp_path / "run", tmp_path / "curve.html", tmp_path / "history.json"
    train = ["train", str(folder / "config.yaml"), f"data.directory={data}", "--run", str(run)]
    short = ["training.epochs=3", "training.batch_size=10", "checkpoint.keep_last=3"]
    assert cli.main([*train, *short]) == 0
    capsys.readouterr()
    assert cli.main(["history", str(run), "--output", str(page), "--json", str(output)]) == 0
    rows = json.loads(output.read_text())["checkpoints"]
    assert [row["step"] for row in rows] == [2, 4, 6]
    # The last checkpoint alone, and what training itself counted after each epoch.
    last = tmp_path / "last.json"
    newest = max((run / "checkpoints").iterdir())
    assert cli.main(["validate", str(newest), "--json", str(last)]) == 0
    assert json.loads(last.read_text())["num_top1"] == rows[-1]["num_top1"]
    drawn = page.read_text(encoding="utf-8")
    assert re.search(r'<polygon points="([^"]*)"', drawn)[1].count(",") == 6
    assert re.search(r'class="curve second"', drawn)
    assert len(capsys.readouterr().out.splitlines()) == 3 + 2 + 2
    # One that is damaged is left out, and the others keep their figures.
    first = min((run / "checkpoints").iterdir())
    file = next(first.glob("*.params"))
    file.write_bytes(file.read_bytes()[:-1])
    assert cli.main(["history", str(run), "--json", str(output)]) == 1
    assert json.loads(output.read_text())["checkpoints"] == rows[1:]
    said = capsys.readouterr().err
    assert said.endswith(f"mobilenet history: 1 of 3 checkpoints left out: {first}\n")
    assert_told(said, "a damaged checkpoint among several, in `history`")
    for path in (run / "checkpoints").iterdir():
        (path / "state.json").unlink()
    assert cli.main(["history", str(run)]) == 2
    assert "none of its 3 checkpoints could be validated" in capsys.readouterr().err
