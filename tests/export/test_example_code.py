"""The example programs beside an ONNX file print what `mobilenet predict` prints."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from small_network import CONFIG, small_network
from told import assert_told

from mobilenet.cli import main
from mobilenet.data.eval_transforms import PREPROCESSINGS, EvalTransform
from mobilenet.errors import UserError, WeightsError
from mobilenet.export.example_code import write_examples
from mobilenet.export.example_in_python import in_python
from mobilenet.export.example_subject import Subject
from mobilenet.onnx.metadata import Metadata

ROOT = Path(__file__).parent.parent.parent
# A name is without its WordNet id, but for those that two classes share.
NAMES = (
    *("n02012849 crane", "n03126707 crane", "n01440764 tench, Tinca tinca", "n1 \"'\\", "n2 日本"),
    *("n02 <b>", "n01443537 goldfish", "n4 7", "n5 {{model}}", "n6 e"),
)
Answers = list[tuple[str, list[tuple[str, float]]]]
# Probabilities are printed with two decimals of a per cent. In the script's averages over areas a
# pixel may be one level off OpenCV's (test_web_preprocessing.py), which made up to 0.0006 here.
EQUAL, ONE_LEVEL_OFF = 1.1e-4, 1e-3


def by_python(example: Path, photos: Sequence[Path]) -> str:
    # -I: neither this package nor anything else from the current folder can be imported.
    return printed([sys.executable, "-I", example, *photos])


def by_cpp(example: Path, photos: Sequence[Path]) -> str:
    """Compiled as the first lines of the example say."""
    found = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "opencv4"], capture_output=True, text=True, check=False
    )
    if found.returncode != 0 or shutil.which("g++") is None:
        pytest.skip("needs g++ and OpenCV for C++ (apt-get install g++ libopencv-dev)")
    program = example.with_suffix("")
    warnings = ("-Wall", "-Wextra", "-Werror")
    printed(["g++", "-std=c++17", "-O0", *warnings, example, "-o", program, *found.stdout.split()])
    return printed([program, *photos], example.parent)


def by_node(example: Path, photos: Sequence[Path]) -> str:
    modules = os.environ.get("MOBILENET_NODE_MODULES")
    if shutil.which("node") is None or modules is None:
        pytest.skip(
            "needs Node, and in MOBILENET_NODE_MODULES a folder node_modules in which npm has put"
            " onnxruntime-node and sharp"
        )
    link = example.with_name("node_modules")
    if not link.exists():
        link.symlink_to(modules)
    return printed(["node", example, *photos])


def printed(command: Sequence[Any], folder: Path | None = None) -> str:
    done = subprocess.run(
        list(map(str, command)), cwd=folder, capture_output=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def read(text: str) -> Answers:
    """The photos, each with its names and probabilities."""
    answers: Answers = []
    for line in text.splitlines():
        if line.startswith("  "):
            probability, name = line.strip().split(" %  ", 1)
            answers[-1][1].append((name, float(probability) / 100))
        else:
            answers.append((line, []))
    return answers


def assert_same(found: str, expected: str, tolerance: float) -> None:
    """The same photos and best classes; the same names with the same probabilities."""
    for (photo, guesses), (expected_photo, right) in zip(read(found), read(expected)):
        assert photo == expected_photo
        assert len(guesses) == len(right) == 5
        assert guesses[0][0] == right[0][0]
        probabilities = dict(guesses)
        for name, probability in right:
            # The last ones may change places with those that are not printed.
            other = probabilities.get(name, guesses[-1][1])
            assert abs(probability - other) <= tolerance, (photo, name)
    assert len(read(found)) == len(read(expected))


def made(model: Path, language: str = "py") -> Path:
    """The example of the model in one language."""
    (said,) = write_examples(model, (language,))
    return Path(said.removeprefix("Example: "))


def predicted(model: Path, photos: Sequence[Path], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["predict", str(model), *map(str, photos)]) == 0
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Photos in every EXIF orientation, a grey one, and PNGs in grey, colour and with alpha."""
    folder = tmp_path_factory.mktemp("photos with 'spaces'")
    generator = np.random.default_rng(1)
    coarse = generator.integers(0, 256, (5, 7, 4), np.uint8)
    pixels = cv2.resize(coarse, (320, 201), interpolation=cv2.INTER_CUBIC)
    paths = []
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        paths.append(folder / f"turned-{orientation}.jpg")
        Image.fromarray(pixels[..., :3]).save(paths[-1], exif=exif, quality=95)
    kinds = {"grey.jpg": pixels[..., 0], "grey.png": pixels[..., 0], "colour.png": pixels[..., :3]}
    kinds["alpha.png"] = pixels
    kinds["small.png"] = pixels[:40, :50, :3]
    for name, values in kinds.items():
        paths.append(folder / name)
        Image.fromarray(np.ascontiguousarray(values)).save(paths[-1])
    return paths


FORMS: dict[str, dict[str, Any]] = {
    "logits": {"names": NAMES},
    "probabilities": {"softmax": True},
    "pixels as uint8": {"pixels": "uint8"},
    "pixels as float, batches of 3": {"pixels": "float", "softmax": True, "batch": 3},
    "batches of 3": {"batch": 3, "names": ()},
    "any size": {"resolution": None},
    "not square": {"resolution": (48, 64)},
    "half precision": {"half_weights": True},
    "opset 13": {"opset": 13},
}


@pytest.mark.parametrize("form", FORMS)
def test_python_prints_what_predict_prints_of_every_form(
    tmp_path: Path, photos: list[Path], capsys: pytest.CaptureFixture[str], form: str
) -> None:
    model = small_network(tmp_path / "a \"b\" 'c' \\ü.onnx", **FORMS[form])
    example = made(model)
    assert_same(by_python(example, photos), predicted(model, photos, capsys), EQUAL)


@pytest.mark.parametrize("name", PREPROCESSINGS)
@pytest.mark.parametrize("language", ["py", "js"])
def test_photos_are_prepared_in_every_way(
    tmp_path: Path,
    photos: list[Path],
    capsys: pytest.CaptureFixture[str],
    language: str,
    name: str,
) -> None:
    short = "" if PREPROCESSINGS[name].short_side else ", short_side: 73"
    text = CONFIG.replace("short_side: 73", f"transform: {name}{short}")
    model = small_network(tmp_path / "net.onnx", text)
    example = made(model, language)
    run = {"py": by_python, "js": by_node}[language]
    tolerance = ONE_LEVEL_OFF if (language, name) == ("js", "center-crop-area") else EQUAL
    assert_same(run(example, photos), predicted(model, photos, capsys), tolerance)


@pytest.mark.parametrize("form", FORMS)
def test_node_prints_what_predict_prints_of_every_form(
    tmp_path: Path, photos: list[Path], capsys: pytest.CaptureFixture[str], form: str
) -> None:
    # Node itself refuses names with a backslash.
    model = small_network(tmp_path / "a \"b\" 'c' %20 ü.onnx", **FORMS[form])
    example = made(model, "js")
    assert_same(by_node(example, photos), predicted(model, photos, capsys), EQUAL)


CPP: dict[str, tuple[str, dict[str, Any]]] = {
    "logits": (CONFIG, {"names": NAMES}),
    "probabilities of uint8": (
        CONFIG.replace("short_side: 73", "transform: squash"),
        {"pixels": "uint8", "softmax": True},
    ),
    "not square, area": (
        CONFIG.replace("short_side: 73", "short_side: 73, transform: center-crop-area"),
        {"resolution": (48, 64), "batch": 3, "opset": 9},
    ),
}


@pytest.mark.parametrize("form", CPP)
def test_opencv_in_cpp_prints_what_predict_prints(
    tmp_path: Path, photos: list[Path], capsys: pytest.CaptureFixture[str], form: str
) -> None:
    text, options = CPP[form]
    model = small_network(tmp_path / "a \"b\" 'c' \\ü.onnx", text, **options)
    example = made(model, "cpp")
    assert_same(by_cpp(example, photos), predicted(model, photos, capsys), EQUAL)


@pytest.mark.parametrize(
    "form", [{"opset": 11}, {"half_weights": True}, {"pixels": "float", "batch": 2}]
)
def test_what_old_versions_of_opencv_compute_wrongly_does_not_compile_with_them(
    tmp_path: Path, form: dict[str, Any]
) -> None:
    example = made(small_network(tmp_path / "net.onnx", **form), "cpp")
    (old, new) = (by_preprocessor(example, version) for version in ((4, 10), (4, 11)))
    assert "this model needs OpenCV 4.11 or later" in old
    assert new == ""


def by_preprocessor(example: Path, version: tuple[int, int]) -> str:
    """What the compiler says of the example with headers of a version of OpenCV."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("needs g++ (apt-get install g++)")
    headers = example.with_name("headers") / "opencv2"
    headers.mkdir(parents=True, exist_ok=True)
    for name in ("dnn", "imgcodecs", "imgproc"):
        (headers / f"{name}.hpp").touch()
    numbers = [f"-DCV_VERSION_{part}={n}" for part, n in zip(("MAJOR", "MINOR"), version)]
    command = [compiler, "-E", *numbers, "-I", headers.parent, example, "-o", os.devnull]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


def test_python_needs_nothing_of_this_package(tmp_path: Path) -> None:
    example = made(small_network(tmp_path / "net.onnx"))
    tree = ast.walk(ast.parse(example.read_text()))
    names = {name.name for node in tree if isinstance(node, ast.Import) for name in node.names}
    assert names == {"json", "os", "sys", "cv2", "numpy", "onnxruntime"}


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    model = small_network(tmp_path / "net.onnx")
    write_examples(model, ("py", "cpp", "js"))
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_examples(model, ("py", "cpp", "js"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first
    assert len(first) == 5


def test_what_opencv_cannot_do_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    text = CONFIG.replace("short_side: 73", "transform: center-crop-pil")
    model = small_network(tmp_path / "net.onnx", text)
    with pytest.raises(UserError) as refused:
        write_examples(model, ("py", "cpp"))
    assert_told(str(refused.value), "photos that OpenCV cannot prepare")
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def test_what_opencv_computes_wrongly_has_no_example(tmp_path: Path) -> None:
    text = CONFIG.replace("resolution: 64", "resolution: 32")
    model = small_network(tmp_path / "net.onnx", text, resolution=32)
    with pytest.raises(UserError) as refused:
        write_examples(model, ("cpp",))
    assert_told(str(refused.value), "a model that OpenCV computes wrongly")


def test_only_an_onnx_classifier_has_examples(tmp_path: Path) -> None:
    for name in ("net.params", "net.onnx"):
        (tmp_path / name).write_bytes(b"nothing")
        with pytest.raises(WeightsError):
            write_examples(tmp_path / name)


def test_another_file_of_the_name_is_kept(tmp_path: Path) -> None:
    model = small_network(tmp_path / "net.onnx")
    own, earlier = tmp_path / "net_example.py", tmp_path / "net_example.cpp"
    own.write_text("print('mine')\n")
    write_examples(model, ("cpp",))
    earlier.write_text(earlier.read_text() + "// of before")
    assert write_examples(model, ("py", "cpp")) == [
        f"No example: {own} is something else, which is kept",
        f"Example: {earlier}",
    ]
    assert own.read_text() == "print('mine')\n"
    assert "of before" not in earlier.read_text()


def test_a_new_file_has_an_example_and_a_packed_one_if_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.yaml").write_text(CONFIG)
    call = ["export", str(tmp_path / "net.yaml"), "--untrained"]
    assert main([*call, "--output", str(tmp_path / "other.bin")]) == 0
    assert "Example" not in capsys.readouterr().out
    assert main(call) == 0
    assert f"Example: {tmp_path / 'net_example.py'}" in capsys.readouterr().out
    assert (
        main(
            [
                "export",
                str(tmp_path / "net.onnx"),
                "--web",
                str(tmp_path / "page"),
                "--web-runtime",
                "cdn",
            ]
        )
        == 0
    )
    assert "Example" not in capsys.readouterr().out
    assert main(["export", str(tmp_path / "net.onnx"), "--code", "js,py"]) == 0
    files = ["net.onnx", "net.yaml", "net_example.mjs", "net_example.py", "net_example_classes.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [*files, "other.bin", "page"]


@pytest.mark.parametrize("wrong", ["c", "pyy", "py,", ""])
def test_unknown_languages_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["export", "net.onnx", "--code", wrong])
    assert stopped.value.code == 2
    assert_told(capsys.readouterr().err, "an example in an unknown language")


def test_the_documents_show_the_example_as_it_is() -> None:
    names = ("cat", "dog")
    metadata = Metadata(class_names=names)
    subject = Subject(Path("photos.onnx"), EvalTransform(), metadata, "float32", 1, names)
    page = (ROOT / "docs" / "onnx.md").read_text(encoding="utf-8")
    assert f"```python\n{in_python(subject)}```\n" in page


@pytest.mark.shared_data
def test_real_weights_and_photos_get_the_answers_of_predict(
    tmp_path: Path, shared: Path, photos: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    weights = shared / "weights" / "mobilenetv2_1.0-imagenet.params"
    config = ROOT / "configs" / "imagenet" / "mobilenetv2_1.0-tf.yaml"
    model = tmp_path / "net.onnx"
    call = ["export", str(weights), "--config", str(config), "--output", str(model)]
    assert main([*call, "--code", "py,cpp,js"]) == 0
    some = sorted((shared / "data" / "imagenet-sample" / "images").rglob("*.JPEG"))[::15]
    expected = predicted(model, [*some, *photos], capsys)
    for ending, run in {"py": by_python, "cpp": by_cpp, "mjs": by_node}.items():
        found = run(tmp_path / f"net_example.{ending}", [*some, *photos])
        assert_same(found, expected, EQUAL)
