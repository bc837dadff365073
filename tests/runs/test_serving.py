"""The archive for Multi-Model-Server, and what answers requests in it, without the server."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from mobilenet import cli, settings
from mobilenet.data.image_decoding import decode
from mobilenet.errors import DataError
from mobilenet.export.model_archive import write_service
from mobilenet.export.request_handler import handle
from mobilenet.export.to_onnx import describe_untrained, untrained_network
from mobilenet.inference.open_model import open_model
from mobilenet.inference.predict import predict
from mobilenet.onnx.exporter import export_network
from mobilenet.onnx.graph import GraphOptions
from mobilenet.onnx.metadata import Metadata
from mobilenet.onnx.runtime import OnnxModel
from mobilenet.packing.drawn_sample import CLASSES
from mobilenet.settings.schema import Config

CONFIG = """
model: {width_multiplier: 0.1, classes: 10}
data: {resolution: 32, mean: [0.4, 0.5, 0.6], std: [0.2, 0.3, 0.4]}
validation: {short_side: 37}
"""
# Runs where nothing but the unpacked archive in the first argument has a package of this name.
PROGRAM = """
import json, sys
from types import SimpleNamespace
sys.path.insert(0, sys.argv[1])
from mobilenet.export import request_handler as service
assert service.__file__.startswith(sys.argv[1])
status = {}
context = SimpleNamespace(
    system_properties={"model_dir": sys.argv[1]},
    set_response_content_type=lambda place, kind: None,
    set_response_status=lambda code, phrase, place: status.update({place: code}),
)
assert service.handle(None, context) is None
requests = [{name: open(path, "rb").read()} for name, path in zip(sys.argv[2::2], sys.argv[3::2])]
answers = service.handle([*requests, {"body": b"bad"}, {"body": b""}, {"other": b""}], context)
loaded = [name for name in ("mxnet", "onnx", "gluoncv", "yaml") if name in sys.modules]
print(json.dumps({"answers": answers, "status": status, "loaded": loaded}))
"""


def exported(folder: Path, text: str = CONFIG, **options: Any) -> Path:
    """An ONNX file with names for its classes, of a network with random weights."""
    config = settings.loads(Config, text, "net")
    facts = describe_untrained(config).updated(Metadata(class_names=CLASSES))
    chosen = GraphOptions(resolution=32, **options)
    return export_network(untrained_network(config), folder / "net.onnx", chosen, facts).path


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("plain"))


def pictures(folder: Path) -> list[Path]:
    """Two images that are no squares."""
    generator = np.random.default_rng(5)
    paths = []
    for number, size in enumerate(((90, 60), (64, 128))):
        image = cv2.resize(generator.integers(0, 256, (6, 9, 3), np.uint8), size)
        paths.append(folder / f"{number}.jpg")
        assert cv2.imwrite(str(paths[-1]), image)
    return paths


def test_an_archive_answers_as_predict_does(source: Path, tmp_path: Path) -> None:
    """Without MXNet and without this package; in float, uint8 and as probabilities."""
    images = pictures(tmp_path)
    arguments = [text for name, path in zip(("body", "data"), images) for text in (name, str(path))]
    other = exported(tmp_path, pixels="uint8", softmax=True, batch=2)
    for path in (source, other):
        write_service(path, tmp_path / "net.mar")
        shutil.rmtree(tmp_path / "archive", ignore_errors=True)
        with zipfile.ZipFile(tmp_path / "net.mar") as archive:
            archive.extractall(tmp_path / "archive")
        call = [sys.executable, "-c", PROGRAM, str(tmp_path / "archive"), *arguments]
        done = subprocess.run(call, capture_output=True, text=True, check=False, timeout=100)
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        expected = predict(open_model(path), [str(image) for image in images])
        for given, wanted in zip(result["answers"], expected):
            for guess, own in zip(given["guesses"], wanted.guesses):
                assert (guess["label"], guess["name"]) == (own.label, CLASSES[own.label])
                assert guess["probability"] == pytest.approx(own.probability, abs=1e-6)
        bad, empty, foreign = result["answers"][2:]
        assert "cannot be decoded" in bad["error"]
        assert "send one image" in empty["error"] == foreign["error"]
        assert result["status"] == {"2": 400, "3": 400, "4": 400}
        assert result["loaded"] == []


FACTS = {
    "name": "center-crop",
    "resolution": 32,
    "short_side": 36,
    "mean": [0, 0, 0.5],
    "std": [1, 1, 1],
    "exif_orientation": "apply",
    "crop": None,
    "class_names": ["a"],
}
OF_OTHER_TYPES = [
    json.dumps({**FACTS, name: value})
    for name, value in (
        *(("mean", "abc"), ("mean", ["a", "b", "c"]), ("std", [1, 1]), ("crop", [1])),
        *(("resolution", "32"), ("exif_orientation", "turn"), ("class_names", {"a": 1})),
    )
]


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 200_000, *OF_OTHER_TYPES], ids=len)
def test_damaged_facts_are_told_in_a_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / "service.json").write_text(text)
    context = SimpleNamespace(system_properties={"model_dir": str(tmp_path)})
    with pytest.raises(DataError, match=r"service\.json: damaged; make the archive anew"):
        handle(None, context)


def test_archives_of_the_same_file_are_the_same(source: Path, tmp_path: Path) -> None:
    write_service(source, tmp_path / "net.mar")
    first = (tmp_path / "net.mar").read_bytes()
    source.touch()
    write_service(source, tmp_path / "net.mar")
    assert (tmp_path / "net.mar").read_bytes() == first
    with zipfile.ZipFile(tmp_path / "net.mar") as archive:
        manifest = json.loads(archive.read("MAR-INF/MANIFEST.json"))
        assert archive.read("model.onnx") == source.read_bytes()
    assert manifest["model"] == {
        "modelName": "net",
        "handler": "mobilenet.export.request_handler:handle",
    }


def run(*arguments: object) -> int:
    return cli.main(["export", *map(str, arguments)])


def test_the_command(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An .onnx file is packed as it is; another model is exported first."""
    assert run(source, "--mar", tmp_path / "a.mar", "--package", tmp_path / "zoo") == 0
    assert (tmp_path / "a.mar").is_file()
    assert (tmp_path / "zoo" / "net-7.tar.gz").is_file()
    (tmp_path / "net.yaml").write_text(CONFIG)
    options = ("--untrained", "--output", tmp_path / "b.onnx", "--opset", 13)
    assert run(tmp_path / "net.yaml", *options, "--mar", tmp_path / "b.mar") == 0
    with zipfile.ZipFile(tmp_path / "b.mar") as archive:
        assert archive.read("model.onnx") == (tmp_path / "b.onnx").read_bytes()
    capsys.readouterr()
    for arguments, message in (
        ((source, "--mar", tmp_path / "c.zip"), "names end in .mar"),
        ((source, "--mar", tmp_path / "c.mar", "--opset", 9), "graph options have no effect"),
        ((source, "--mar", tmp_path / "c.mar", "--json", tmp_path / "c"), "--json has no effect"),
        ((source, "--mar", tmp_path / "c.mar", "--data", tmp_path), "--data has no effect"),
        ((tmp_path / "no.onnx", "--mar", tmp_path / "c.mar"), "no.onnx: no such file"),
        (
            (tmp_path / "a.mar", "--mar", tmp_path / "c.mar"),
            "a.mar: not one of the kinds .params, .onnx",
        ),
    ):
        assert run(*arguments) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        run(source, "--mar", tmp_path / "b.onnx" / "c.mar")
    assert "cannot be written there" in capsys.readouterr().err
    assert not list(tmp_path.glob("c*"))


def test_the_server_is_told_the_kind_of_each_answer(source: Path, tmp_path: Path) -> None:
    write_service(source, tmp_path / "net.mar")
    with zipfile.ZipFile(tmp_path / "net.mar") as archive:
        archive.extractall(tmp_path)
    kinds: dict[int, str] = {}
    context = SimpleNamespace(
        system_properties={"model_dir": str(tmp_path)},
        set_response_content_type=kinds.__setitem__,
        set_response_status=lambda code, phrase, place: None,
    )
    answers = handle([{"body": pictures(tmp_path)[0].read_bytes()}, {"body": b"bad"}], context)
    assert answers is not None
    assert [list(answer) for answer in answers] == [["guesses"], ["error"]]
    assert kinds == {0: "application/json", 1: "application/json"}


def test_images_of_much_memory_are_answered_or_refused(source: Path, tmp_path: Path) -> None:
    """A line of pixels, and a header that claims more pixels than may be."""
    line = cv2.imencode(".jpg", np.zeros((1, 65_500, 3), np.uint8))[1].tobytes()
    large = bytearray(cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    size = large.index(b"\xff\xc0") + 5  # of the frame: height and width
    large[size : size + 4] = b"\xff\x00" * 2
    write_service(source, tmp_path / "net.mar")
    with zipfile.ZipFile(tmp_path / "net.mar") as archive:
        archive.extractall(tmp_path / "service")
    paths = [tmp_path / "line.jpg", tmp_path / "large.jpg"]
    for path, image in zip(paths, (line, bytes(large))):
        path.write_bytes(image)
    limited = (
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (4_000_000_000,) * 2)\n" + PROGRAM
    )
    arguments = [text for path in paths for text in ("body", str(path))]
    done = subprocess.run(
        [sys.executable, "-c", limited, str(tmp_path / "service"), *arguments],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert len(found["answers"][0]["guesses"]) == 5
    assert "it has more than 134,217,728 pixels" in found["answers"][1]["error"]
    assert found["status"]["1"] == 400


def turned(folder: Path) -> tuple[Path, Path]:
    """A photograph that is stored turned, and the same pixels upright."""
    noise = np.random.default_rng(7).integers(0, 256, (5, 8, 3), np.uint8)
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(cv2.resize(noise, (80, 50))).save(buffer, "JPEG", exif=exif, quality=95)
    (folder / "turned.jpg").write_bytes(buffer.getvalue())
    upright = decode(buffer.getvalue(), "apply")
    cv2.imwrite(str(folder / "upright.png"), upright[..., ::-1])
    return folder / "turned.jpg", folder / "upright.png"


@pytest.mark.parametrize("setting", ["apply", "ignore"])
def test_orientation_goes_with_the_model(
    setting: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Into the ONNX file and the archive; predict turns photographs unless it is told not to."""
    path = exported(tmp_path, CONFIG.replace("data: {", f"data: {{exif_orientation: {setting}, "))
    assert OnnxModel(path).metadata.exif_orientation == setting
    assert open_model(path).transform.exif_orientation == setting
    write_service(path, tmp_path / "net.mar")
    with zipfile.ZipFile(tmp_path / "net.mar") as archive:
        archive.extractall(tmp_path / "service")
    images = turned(tmp_path)
    context = SimpleNamespace(
        system_properties={"model_dir": str(tmp_path / "service")},
        set_response_content_type=lambda *_: None,
    )
    one, other = handle([{"body": image.read_bytes()} for image in images], context) or []
    assert (one == other) == (setting == "apply")

    def guesses(*settings: str) -> list[Any]:
        capsys.readouterr()
        arguments = ["predict", str(path), *map(str, images), "--json", *settings]
        assert cli.main(arguments) == 0
        return [json.loads(line)["guesses"] for line in capsys.readouterr().out.splitlines()]

    one, other = guesses()
    assert one == other
    one, other = guesses("--set", "data.exif_orientation=ignore")
    assert one != other
