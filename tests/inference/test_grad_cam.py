"""Heat maps: their values by ONNX Runtime and NumPy, the pictures, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from told import assert_told

from mobilenet import cli
from mobilenet.data.eval_transforms import Normalization
from mobilenet.inference.grad_cam import HeatMaps, grad_cam, overlay
from mobilenet.inference.open_model import open_model

PIXELS, CLASSES = 96, 7


@pytest.fixture(scope="module", params=["paper", "gluoncv", "origin"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network; its classifier is a dense layer or a convolution."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "c.yaml").write_text(
        f"model: {{width_multiplier: 0.1, classes: {CLASSES}, dialect: {request.param}}}\n"
        f"data: {{resolution: {PIXELS}}}\nvalidation: {{batch_size: 2}}\n"
    )
    call = ["export", str(folder / "c.yaml"), "--untrained", "--output", str(folder / "net.onnx")]
    assert cli.main(call) == 0
    return folder / "net.onnx"


def logits_and_maps_by_hand(
    file: Path, images: np.ndarray, classes: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """From the last feature map and the weights of the classifier, as ONNX Runtime has them.

    A class's logit is the mean over the map of its weights times the channels, so that the gradient
    is the same everywhere: its weights, divided by the number of places.
    """
    model = onnx.load(file)
    pool = next(node for node in model.graph.node if node.op_type == "GlobalAveragePool")
    model.graph.output.append(onnx.ValueInfoProto(name=pool.input[0]))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    logits, feature = session.run(
        [session.get_outputs()[0].name, pool.input[0]], {session.get_inputs()[0].name: images}
    )
    arrays = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    last = next(
        node for node in reversed(model.graph.node) if node.op_type in ("Gemm", "MatMul", "Conv")
    )
    weights = next(arrays[name] for name in last.input if name in arrays)
    weights = weights.reshape(CLASSES, -1).astype(np.float64)
    maps = [np.tensordot(weights[c], one, 1) for c, one in zip(classes, feature)]
    heat = np.maximum(maps, 0)
    largest = heat.max(axis=(1, 2), keepdims=True)
    return logits, heat / np.where(largest > 0, largest, 1)


def test_values_are_those_of_an_independent_computation(exported: Path) -> None:
    images = np.random.default_rng(3).normal(size=(4, 3, PIXELS, PIXELS)).astype(np.float32)
    images[:, :, :40, :40] *= 3
    network = open_model(exported, as_network=True).network
    assert network is not None
    logits, _ = logits_and_maps_by_hand(exported, images, [0] * 4)
    # The most probable class of three, and of the last one the least probable.
    classes = [*logits[:3].argmax(axis=1).tolist(), int(logits[3].argmin())]
    found = grad_cam(network, images, np.array(classes))
    _, expected = logits_and_maps_by_hand(exported, images, classes)
    assert found.shape == (4, 3, 3)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert (expected[:3].max(axis=(1, 2)) == 1).all()
    assert np.ptp(expected[:3], axis=(1, 2)).min() > 0.01  # none is flat


def test_what_is_cold_looks_as_it_is_and_what_is_hot_does_not() -> None:
    pixels = np.full((100, 150, 3), 90, np.uint8)
    heat = np.zeros((4, 4), np.float32)
    heat[0, 0] = 1
    drawn = overlay(pixels, heat)
    assert drawn.shape == (400, 600, 3)
    assert (drawn[200:, 300:] == 90).all()
    hot = drawn[10, 10].astype(int)
    assert hot[0] > 90 > hot[2]  # red, and no more blue


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    paths = [tmp_path / name for name in ("a/photo.png", "b/photo.png", "b/other.jpg")]
    for seed, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
        cv2.imwrite(str(path), cv2.resize(coarse, (160, 120)))
    return list(map(str, paths))


def test_every_photo_gets_a_picture(
    exported: Path, photos: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "maps"
    assert cli.main(["predict", str(exported), *photos, "--json", "--explain", str(folder)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    names = ["photo.jpg", "photo-2.jpg", "other.jpg"]
    assert [row["heat_map"] for row in rows] == [str(folder / name) for name in names]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    pictures = [cv2.imread(row["heat_map"]) for row in rows]
    assert {picture.shape for picture in pictures} == {(480, 480, 3)}
    assert cli.main(["predict", str(exported), *photos, "--json"]) == 0
    plain = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for row, other in zip(rows, plain):
        assert "heat_map" not in other
        assert row["guesses"][0]["label"] == other["guesses"][0]["label"]


def test_the_picture_is_what_the_network_saw(tmp_path: Path, exported: Path) -> None:
    network = open_model(exported, as_network=True).network
    assert network is not None
    normalization = Normalization((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    pixels = cv2.resize(
        np.random.default_rng(1).integers(0, 256, (3, 3, 3), np.uint8), (PIXELS, PIXELS)
    )
    image = normalization(np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]))
    (path,) = HeatMaps(network, normalization, tmp_path).write(["x.png"], image, np.array([1]))
    heat = grad_cam(network, image, np.array([1]))[0]
    drawn = cv2.imread(str(path))[..., ::-1].astype(int)
    expected = overlay(pixels, heat).astype(int)
    assert np.abs(drawn - expected).mean() < 3  # JPEG


def test_pictures_beside_the_photos_are_refused(
    exported: Path, photos: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(Path(photos[0]).parent)
    assert cli.main(["predict", str(exported), photos[0], "--explain", folder]) == 2
    assert_told(capsys.readouterr().err, "heat maps into the folder of the photos")
    call = ["predict", str(exported), photos[0], "--explain", f"{folder}/maps", "--int8"]
    assert cli.main(call) == 2
    assert "--explain has no effect with --int8" in capsys.readouterr().err
