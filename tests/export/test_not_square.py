"""A file whose input is not square: proof, validation, prediction, audit and archive."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from types import SimpleNamespace

import cv2
import mxnet as mx
import numpy as np
import pytest
from tiny_run import CONFIG, config, write_records

from mobilenet import cli
from mobilenet.data.eval_transforms import EvalTransform
from mobilenet.data.record_file import RecordFile
from mobilenet.export.request_handler import handle
from mobilenet.export.to_onnx import untrained_network
from mobilenet.inference.open_model import open_model
from mobilenet.network.architecture import parameter_arrays
from mobilenet.onnx.runtime import OnnxModel

HEIGHT, WIDTH = 48, 64


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exported by the command, with the package and the archive, beside its records."""
    folder = tmp_path_factory.mktemp("not_square")
    write_records(folder / "records", ("val",))
    network = untrained_network(config(folder / "records"))
    mx.nd.waitall()
    mx.nd.save(str(folder / "net.params"), parameter_arrays(network))
    (folder / "net.yaml").write_text(CONFIG.replace("records", str(folder / "records")))
    words = ["net.params", "--config", "net.yaml", "--resolution", f"{HEIGHT}x{WIDTH}"]
    places = ["--output", "a.onnx", "--package", "zoo", "--mar", "a.mar"]
    paths = [
        str(folder / word) if "." in word or word == "zoo" else word for word in words + places
    ]
    assert cli.main(["export", *paths]) == 0
    return folder / "a.onnx"


def test_the_file_says_what_it_takes(file: Path) -> None:
    assert OnnxModel(file).resolution == (HEIGHT, WIDTH)
    transform = open_model(file).transform
    assert (transform.size, transform.short_side) == ((HEIGHT, WIDTH), -(-WIDTH * 8 // 7))


def test_the_crop_is_the_middle_of_the_square_one() -> None:
    image = cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (90, 120, 3)))[1]
    square = EvalTransform(resolution=WIDTH).planes(image.tobytes())
    crop = EvalTransform(resolution=WIDTH, crop=(HEIGHT, WIDTH)).planes(image.tobytes())
    margin = (WIDTH - HEIGHT) // 2
    np.testing.assert_array_equal(crop, square[:, margin:-margin])


@pytest.mark.parametrize("engine", ["onnxruntime", "mxnet"])
def test_validation_and_audit(file: Path, engine: str, capsys: pytest.CaptureFixture[str]) -> None:
    records = str(file.parent / "records")
    answer = file.parent / f"{engine}.json"
    words = [str(file), "--data", records, "--engine", engine, "--json", str(answer)]
    assert cli.main(["validate", *words]) == 0
    told = json.loads(answer.read_text())
    assert told["num_images"] == 20
    assert told["transform"]["crop"] == [HEIGHT, WIDTH]
    for views in ("flip", "ten-crop"):
        assert cli.main(["validate", *words, "--views", views]) == 0
    assert cli.main(["audit", str(file), "--data", records]) == 0
    assert f"/{HEIGHT}x{WIDTH}" in capsys.readouterr().out


def test_prediction_and_the_served_archive_agree(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "a.jpg"
    image.write_bytes(RecordFile(file.parent / "records" / "val.rec").image(3))
    assert cli.main(["predict", str(file), str(image), "--json"]) == 0
    predicted = json.loads(capsys.readouterr().out)["guesses"]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    zipfile.ZipFile(file.with_suffix(".mar")).extractall(tmp_path / "served")
    context = SimpleNamespace(
        system_properties={"model_dir": str(tmp_path / "served")},
        set_response_content_type=lambda place, kind: None,
    )
    (answer,) = handle([{"body": image.read_bytes()}], context)
    served = answer["guesses"]
    assert [guess["label"] for guess in served] == [guess["label"] for guess in predicted]
