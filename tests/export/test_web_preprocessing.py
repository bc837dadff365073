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
# Width and height: shrunk, grown, halved and divided exactly, equal, thin, and very thin.
SIZES = (
    *((500, 375), (375, 500), (1203, 640), (40, 31), (257, 257), (128, 96), (192, 192)),
    *((256, 256), (300, 33), (7, 400), (20000, 3)),
)
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
    """Smooth images and noise, RGB, of all sizes."""
    generator = np.random.default_rng(3)
    found = []
    for width, height in SIZES:
        noise = generator.integers(0, 256, (height, width, 3), np.uint8)
        coarse = generator.integers(0, 256, (7, 9, 3), np.uint8)
        smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        found += [noise, smooth]
    return found


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


@pytest.mark.parametrize("name", PREPROCESSINGS)
def test_every_pixel_is_that_of_python(tmp_path: Path, name: str) -> None:
    pairs = [(image, transform) for image in pictures() for transform in transforms(name)]
    found = in_javascript(tmp_path, [case(*pair) for pair in pairs])
    largest = 0
    for (image, transform), result in zip(pairs, found):
        expected = transform.planes(encoded(image)).transpose(1, 2, 0)
        crop = np.frombuffer(base64.b64decode(result["crop"]), np.uint8).reshape(expected.shape)
        difference = np.abs(crop.astype(int) - expected.astype(int))
        print(
            name,
            image.shape,
            transform.short_side,
            transform.size,
            difference.max(),
            (difference > 0).sum(),
        )
        largest = max(largest, int(difference.max()))
    assert largest <= 1
