"""The page's preprocessing in JavaScript, by Node, against that of `predict`."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import mobilenet
from mobilenet.data.eval_transforms import PREPROCESSINGS, EvalTransform, Normalization
from mobilenet.validation.validate import transform_as_json

SCRIPTS = Path(mobilenet.__file__).parent / "export" / "web"
PROGRAM = Path(__file__).parent / "crops.mjs"
# Width and height: shrunk, grown, halved and divided exactly, thin, and very thin.
SIZES = (
    *((375, 500), (1203, 640), (40, 31), (257, 257), (128, 96), (192, 192), (300, 33)),
    *((7, 400), (20000, 3)),
)
# Those in whole numbers. The others compute in single precision, each library in its own order.
EXACT = ("center-crop", "center-crop-pil", "center-crop-pil-cubic", "squash", "imagenet-preprocess")
NORMALIZATION = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def in_javascript(folder: Path, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the page's scripts make of the cases; skips where there is no Node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node (apt-get install nodejs)")
    shutil.copytree(SCRIPTS, folder / "web")
    (folder / "web" / "package.json").write_text('{"type": "module"}')
    (folder / "cases.json").write_text(json.dumps(cases))
    command = [node, PROGRAM, folder / "web", folder / "cases.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def case(image: Any, transform: EvalTransform, kind: str = "float32") -> dict[str, Any]:
    return {
        "width": image.shape[1],
        "height": image.shape[0],
        "pixels": base64.b64encode(image.tobytes()).decode(),
        "facts": transform_as_json(transform),
        "input": {"type": kind, "batch": 1},
    }


def pictures() -> list[Any]:
    """Noise of all sizes, RGB: each pixel that is taken wrongly shows."""
    generator = np.random.default_rng(3)
    return [generator.integers(0, 256, (height, width, 3), np.uint8) for width, height in SIZES]


def encoded(image: Any) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def transforms(name: str) -> list[EvalTransform]:
    own = PREPROCESSINGS[name].short_side
    if own:
        sizes: list[dict[str, Any]] = [{"resolution": 224}, {"resolution": 96, "crop": (64, 96)}]
    else:
        sizes = [{"resolution": 56}, {"resolution": 57, "short_side": 96}]
        sizes += [{"resolution": 96, "short_side": 128, "crop": (64, 96)}]
    return [EvalTransform(name, normalization=NORMALIZATION, **size) for size in sizes]


def expected_crop(image: Any, transform: EvalTransform) -> Any:
    return transform.planes(encoded(image)).transpose(1, 2, 0)


def test_every_pixel_is_that_of_python_or_one_level_off(tmp_path: Path) -> None:
    pairs = [
        (image, transform)
        for name in PREPROCESSINGS
        for transform in transforms(name)
        for image in pictures()
    ]
    found = in_javascript(tmp_path, [case(*pair) for pair in pairs])
    for (image, transform), result in zip(pairs, found):
        expected = expected_crop(image, transform)
        crop = np.frombuffer(base64.b64decode(result["crop"]), np.uint8).reshape(expected.shape)
        difference = np.abs(crop.astype(int) - expected.astype(int))
        assert difference.max() <= 1, (transform, image.shape)
        if transform.name in EXACT:
            assert difference.max() == 0, (transform, image.shape)


@pytest.mark.parametrize("kind", ["float32", "uint8"])
def test_the_input_is_normalised_as_in_python(tmp_path: Path, kind: str) -> None:
    image = pictures()[0]
    pixels = Normalization((0.0,) * 3, (1 / 255,) * 3)
    transform = EvalTransform(normalization=NORMALIZATION if kind == "float32" else pixels)
    made = case(image, transform, kind)
    made["input"]["batch"] = 2
    (result,) = in_javascript(tmp_path, [made])
    found = np.frombuffer(base64.b64decode(result["input"]), kind).reshape(2, 3, 224, 224)
    expected = transform(encoded(image))
    assert np.array_equal(found[0], np.rint(expected) if kind == "uint8" else expected)
    assert not found[1].any()
