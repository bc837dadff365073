"""Files of any origin: those that are image classifiers run, all others end in one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from mobilenet import settings
from mobilenet.errors import UserError, WeightsError
from mobilenet.inference.open_model import open_model
from mobilenet.onnx.mxnet_importer import ImportedModel
from mobilenet.onnx.runtime import OnnxModel
from mobilenet.settings.schema import Config

FLOAT, UINT8 = TensorProto.FLOAT, TensorProto.UINT8


def classifier(shape=("N", 3, "H", "W"), kind=FLOAT, classes=3, **metadata: str) -> onnx.ModelProto:
    """The means of the channels as the scores of three classes."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=FLOAT),
        helper.make_node("GlobalAveragePool", ["floats"], ["means"]),
        helper.make_node("Flatten", ["means"], ["scores"]),
    ]
    inputs = [helper.make_tensor_value_info("pixels", kind, shape)]
    outputs = [helper.make_tensor_value_info("scores", FLOAT, [shape[0], classes])]
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 7)], ir_version=4)
    helper.set_model_props(model, metadata)
    return model


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_channel_means(tmp_path: Path) -> None:
    model = OnnxModel(saved(classifier(), tmp_path), threads=1)
    data = np.random.default_rng(0).normal(size=(5, 3, 6, 7)).astype(np.float32)
    np.testing.assert_allclose(model.predict(data), data.mean(axis=(2, 3)), atol=1e-6)
    assert (model.batch_size, model.resolution, model.num_classes) == (None, None, 3)
    assert model.predict(data[:0]).shape == (0, 3)


def test_the_gpu_is_the_one_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is passed to ONNX Runtime; its build for processors has no CUDA provider to run by."""
    asked: list[object] = []
    session = onnxruntime.InferenceSession

    def noted(path: str, options: object, providers: list[object]) -> object:
        asked.append(providers)
        return session(path, options, providers=["CPUExecutionProvider"])

    file = saved(classifier(), tmp_path)
    monkeypatch.setattr(onnxruntime, "InferenceSession", noted)
    OnnxModel(file, gpu=1)
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: both)
    OnnxModel(file, gpu=1)
    OnnxModel(file)
    cpu = "CPUExecutionProvider"
    assert asked == [[cpu], [("CUDAExecutionProvider", {"device_id": "1"}), cpu], [cpu]]


@pytest.mark.parametrize("count", [1, 3, 4, 8, 9])
def test_fixed_batch_sizes_run_any_number_of_images(count: int, tmp_path: Path) -> None:
    model = OnnxModel(saved(classifier(shape=(4, 3, 5, 6)), tmp_path))
    data = np.random.default_rng(count).normal(size=(count, 3, 5, 6)).astype(np.float32)
    np.testing.assert_allclose(model.predict(data), data.mean(axis=(2, 3)), atol=1e-6)
    assert (model.batch_size, model.resolution) == (4, (5, 6))


def test_files_for_bytes_take_floats_too(tmp_path: Path) -> None:
    """The reader normalises with mean 0 and deviation 1 / 255, which leaves rounding errors."""
    model = OnnxModel(saved(classifier(kind=UINT8), tmp_path))
    pixels = np.arange(3 * 8 * 8, dtype=np.uint8).reshape(1, 3, 8, 8)
    noisy = pixels.astype(np.float32) + np.float32(0.01)
    assert (model.predict(noisy) == model.predict(pixels)).all()
    assert (model.predict(noisy - 1000) == 0).all()


@pytest.mark.parametrize(
    "data",
    [
        np.zeros((1, 1, 5, 6), np.float32),
        np.zeros((1, 3, 6, 5), np.float32),
        np.zeros((3, 5, 6), np.float32),
        np.zeros((1, 3, 5, 6), np.float64),
    ],
    ids=lambda data: f"{data.shape}-{data.dtype}",
)
def test_other_images_are_refused(data: np.ndarray, tmp_path: Path) -> None:
    model = OnnxModel(saved(classifier(shape=("N", 3, 5, 6)), tmp_path))
    with pytest.raises(UserError, match=r"takes images of 3x5x6 in float32") as caught:
        model.predict(data)
    assert "\n" not in str(caught.value)


def test_a_size_that_mxnet_cannot_run_is_one_sentence(tmp_path: Path) -> None:
    """Its matrix is for images of 4 x 4, though its input says that others may come."""
    model = classifier()
    del model.graph.node[:]
    model.graph.node.append(helper.make_node("Flatten", ["pixels"], ["flat"]))
    gemm = helper.make_node("Gemm", ["flat", "weights", "bias"], ["scores"], transB=1)
    model.graph.node.append(gemm)
    for name, shape in (("weights", (3, 48)), ("bias", (3,))):
        tensor = helper.make_tensor(name, FLOAT, shape, np.ones(shape).ravel())
        model.graph.initializer.append(tensor)
        model.graph.input.append(helper.make_tensor_value_info(name, FLOAT, shape))
    imported = ImportedModel(saved(model, tmp_path))
    assert (imported.predict(np.ones((2, 3, 4, 4), np.float32)) == 49).all()
    with pytest.raises(UserError, match=r"cannot be run by MXNet: .*\(75 vs\. 48\)") as caught:
        imported.predict(np.ones((2, 3, 5, 5), np.float32))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("group", [1, 3])
def test_convolutions_of_groups_run(group: int, tmp_path: Path) -> None:
    model = open_model(saved(convolution(group), tmp_path))
    data = np.random.default_rng(0).normal(size=(2, 3, 6, 7)).astype(np.float32)
    means = data.mean(axis=(2, 3))
    expected = means if group == 3 else means.sum(axis=1, keepdims=True).repeat(3, axis=1)
    np.testing.assert_allclose(model.predict(data), expected, atol=1e-6)


@pytest.mark.parametrize("group", [0, -1])
def test_a_convolution_without_groups_is_refused(group: int, tmp_path: Path) -> None:
    """ONNX Runtime would divide by it."""
    with pytest.raises(WeightsError, match=r"a node Conv has fewer than 1 group$"):
        open_model(saved(convolution(group), tmp_path))


def convolution(group: int) -> onnx.ModelProto:
    """The classifier after a convolution of 1 x 1 whose weights are all 1."""
    model = classifier()
    cast, *others = model.graph.node
    cast.output[0] = "before"
    node = helper.make_node("Conv", ["before", "weights"], ["floats"], group=group)
    del model.graph.node[:]
    model.graph.node.extend([cast, node, *others])
    shape = (3, 3 // group if group > 0 else 3, 1, 1)
    ones = helper.make_tensor("weights", FLOAT, shape, np.ones(shape).ravel())
    model.graph.initializer.append(ones)
    model.graph.input.append(helper.make_tensor_value_info("weights", FLOAT, shape))
    return model


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        OnnxModel(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_what_is_not_onnx_is_refused(tmp_path: Path) -> None:
    whole = classifier().SerializeToString()
    path = tmp_path / "model.onnx"
    for content in (b"", b"PK\x03\x04 not a model", whole[: len(whole) // 2], whole[:-3]):
        path.write_bytes(content)
        assert "not an ONNX model" in refused(path)
    refused(tmp_path / "missing.onnx")
    refused(tmp_path)


def test_what_is_no_image_classifier_is_refused(tmp_path: Path) -> None:
    assert "(N, 3, H, W)" in refused(saved(classifier(shape=("N", 4, 8, 8), classes=4), tmp_path))
    double = refused(saved(classifier(kind=TensorProto.DOUBLE), tmp_path))
    assert "tensor(double)" in double
    two = classifier()
    two.graph.input.append(helper.make_tensor_value_info("other", FLOAT, ["N"]))
    assert "2 inputs" in refused(saved(two, tmp_path))
    deep = classifier()
    del deep.graph.node[-1]
    deep.graph.output[0].CopyFrom(helper.make_tensor_value_info("means", FLOAT, ["N", 3, 1, 1]))
    assert "(N, classes)" in refused(saved(deep, tmp_path))


def test_settings_are_those_of_a_configuration(tmp_path: Path) -> None:
    metadata = {"mean": "[0.5, 0.5, 0.5]", "short_side": "40", "dialect": "origin"}
    model = OnnxModel(saved(classifier(shape=("N", 3, 32, 32), **metadata), tmp_path))
    config = settings.loads(Config, model.settings())
    assert (config.data.resolution, config.data.mean) == (32, (0.5, 0.5, 0.5))
    assert (config.validation.short_side, config.model.dialect) == (40, "origin")
    assert config.model.classes == 3


def test_settings_of_a_file_that_takes_pixels_leave_them_as_they_are(tmp_path: Path) -> None:
    metadata = {"mean": "[0.5, 0.5, 0.5]", "std": "[0.5, 0.5, 0.5]", "pixels": "uint8"}
    config = settings.loads(Config, OnnxModel(saved(classifier(**metadata), tmp_path)).settings())
    pixel = np.arange(256)
    given = (pixel / 255 - config.data.mean[0]) / config.data.std[0]
    np.testing.assert_allclose(given, pixel, atol=1e-9)


def test_a_short_side_of_another_transform_is_its_own(tmp_path: Path) -> None:
    metadata = {"transform": "squash-256", "short_side": "256"}
    config = settings.loads(Config, OnnxModel(saved(classifier(**metadata), tmp_path)).settings())
    assert (config.validation.transform, config.validation.short_side) == ("squash-256", None)
