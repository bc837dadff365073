"""Weights of other programs give the outputs that they give there."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import mxnet as mx
import numpy as np
import onnx
import pytest
from foreign_layouts import keras, slim, timm, torchvision, write_safetensors
from numpy.lib.stride_tricks import sliding_window_view
from random_networks import random_network

from mobilenet.data.eval_transforms import IMAGENET, TENSORFLOW
from mobilenet.errors import WeightsError
from mobilenet.foreign.architecture_detection import detect
from mobilenet.foreign.import_weights import ImportResult, import_weights
from mobilenet.inference.loaded_model import LoadedModel
from mobilenet.inference.open_model import open_model
from mobilenet.network.architecture import DIALECTS, MobileNetV2, parameter_arrays
from mobilenet.network.params_file import write_arrays
from mobilenet.network.untrained_statistics import calibrate
from mobilenet.onnx.example_images import random_images
from mobilenet.onnx.exporter import export_network
from mobilenet.onnx.graph import GraphOptions
from mobilenet.onnx.metadata import Metadata

gluoncv = pytest.importorskip("gluoncv")

IMAGES = IMAGENET(random_images(3, 64, 5))


def logits_of(network: mx.gluon.HybridBlock, images: np.ndarray = IMAGES) -> np.ndarray:
    return network(mx.nd.array(images)).asnumpy()


def imported(path: Path) -> tuple[ImportResult, LoadedModel]:
    """What is made of the file, opened as validation opens it."""
    result = import_weights(path, path.parent / "made")
    return result, open_model(path.parent / "made.params", path.parent / "made.yaml")


def assert_close(given: np.ndarray, expected: np.ndarray) -> None:
    assert given.shape == expected.shape
    assert np.abs(given - expected).max() <= 1e-4 * np.abs(expected).max()
    assert np.ptp(expected, axis=0).max() > 1e-3 * np.abs(expected).max()  # it is not blind


@pytest.mark.parametrize(
    ("width", "way"),
    [
        *((width, "save_parameters") for width in ("0.25", "0.5", "0.75", "1.0")),
        ("0.25", "export"),
        pytest.param("1.0", "export", marks=pytest.mark.slow),
    ],
)
def test_gluoncv(width: str, way: str, tmp_path: Path) -> None:
    theirs = gluoncv.model_zoo.get_model(f"mobilenetv2_{width}", classes=7)
    theirs.initialize(mx.init.MSRAPrelu())
    logits_of(theirs)  # only now are all shapes known
    calibrate(theirs, IMAGENET(random_images(8, 64, 3)))
    expected = logits_of(theirs)
    if way == "export":
        theirs.hybridize()
        logits_of(theirs)
        theirs.export(str(tmp_path / "net"))
    else:
        theirs.save_parameters(str(tmp_path / "net-0000.params"))
    result, model = imported(tmp_path / "net-0000.params")
    made = model.config.model
    assert (made.dialect, made.width_multiplier, made.classes) == ("gluoncv", float(width), 7)
    assert (result.family, made.activation) == ("Gluon", None)
    assert_close(logits_of(model.network), expected)


@pytest.mark.filterwarnings("ignore:Cannot decide type:UserWarning")
@pytest.mark.parametrize("activation", ["relu6", "relu"])
def test_the_graph_beside_exported_parameters_tells_the_activation(
    activation: str, tmp_path: Path
) -> None:
    """The origin's own class in Gluon has ReLU6; its published file was made with ReLU."""
    theirs = mx.gluon.model_zoo.vision.get_mobilenet_v2(0.5, classes=7, prefix="some_net_")
    theirs.initialize(mx.init.MSRAPrelu())
    logits_of(theirs)  # only now are all shapes known
    calibrate(theirs, IMAGENET(random_images(8, 64, 3)))
    theirs.hybridize()
    logits_of(theirs)
    theirs.export(str(tmp_path / "net"))
    graph = tmp_path / "net-symbol.json"
    if activation == "relu":
        content = json.loads(graph.read_text())
        for node in content["nodes"]:
            if node["op"] == "clip":
                node.update(op="Activation", attrs={"act_type": "relu"})
        graph.write_text(json.dumps(content))
    theirs = mx.gluon.SymbolBlock.imports(str(graph), "data", str(tmp_path / "net-0000.params"))
    _, model = imported(tmp_path / "net-0000.params")
    assert model.config.model.dialect == "origin"
    assert model.config.model.activation == (None if activation == "relu" else "relu6")
    assert_close(logits_of(model.network), logits_of(theirs))


@pytest.mark.parametrize(
    ("dialect", "form"),
    [(d, f) for d in DIALECTS for f in ("portable", "zoo") if (d, f) != ("paper", "zoo")],
)
@pytest.mark.parametrize(
    "width", [0.1, *(pytest.param(w, marks=pytest.mark.slow) for w in (0.35, 0.75, 1.0, 1.4))]
)
def test_exports_come_back(dialect: str, form: str, width: float, tmp_path: Path) -> None:
    network = random_network(dialect, width)
    options = GraphOptions(form=form, resolution=64, batch=1 if form == "zoo" else None)
    export_network(network, tmp_path / "a.onnx", options)
    result, model = imported(tmp_path / "a.onnx")
    made = model.config.model
    assert (made.dialect, made.width_multiplier, made.classes) == (dialect, width, 10)
    assert made.activation is None
    assert model.config.data.resolution == 64
    assert result.difference.num_same_class == result.difference.num_images == 10
    assert_close(model.predict(IMAGES), logits_of(network))


OPTIONS = [
    {"softmax": True},
    {"half_weights": True},
    {"pixels": "uint8", "normalization": TENSORFLOW},
    {"pixels": "float", "resolution": None, "batch": 3},
    {"opset": 11},
    {"opset": 13, "half_weights": True, "softmax": True},
    {"form": "zoo", "opset": 13},
]


@pytest.mark.parametrize("chosen", OPTIONS, ids=str)
def test_exports_with_other_ends_come_back(chosen, tmp_path: Path) -> None:
    network = random_network("origin")
    options = dataclasses.replace(GraphOptions(resolution=64), **chosen)
    facts = Metadata(width_multiplier=0.35, short_side=71 if options.resolution else None)
    export_network(network, tmp_path / "a.onnx", options, facts)
    _, model = imported(tmp_path / "a.onnx")
    assert model.config.data.mean == options.normalization.mean
    assert model.transform.short_side == (71 if options.resolution else 224 * 8 // 7)
    given, expected = model.predict(IMAGES), logits_of(network)
    tolerance = 0.1 if options.half_weights else 1e-4
    assert np.abs(given - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize("layout", [torchvision, timm])
@pytest.mark.parametrize("kind", ["safetensors", "npz"])
def test_torch(layout, kind: str, tmp_path: Path) -> None:
    network = random_network("paper", 0.35)
    arrays, path = layout(network), tmp_path / f"net.{kind}"
    if kind == "npz":
        np.savez_compressed(path, **arrays)
    else:
        write_safetensors(path, {f"module.{name}": array for name, array in arrays.items()})
    result, model = imported(path)
    assert result.family == layout.__name__
    assert model.config.model.width_multiplier == 0.35
    assert model.transform.normalization == IMAGENET
    given = parameter_arrays(model.network)
    for name, array in parameter_arrays(network).items():
        np.testing.assert_array_equal(given[name].asnumpy(), array.asnumpy())
    assert_close(model.predict(IMAGES), logits_of(network))


@pytest.mark.parametrize("kind", ["float16", "float64", "bfloat16"])
def test_other_precisions(kind: str, tmp_path: Path) -> None:
    arrays = torchvision(random_network("paper", 0.1))
    path = tmp_path / "net.safetensors"
    floats = {n: a for n, a in arrays.items() if a.dtype == np.float32}
    if kind == "bfloat16":
        write_safetensors(path, {n: (a.view("u4") >> 16).astype("u2") for n, a in floats.items()})
    else:
        write_safetensors(path, {n: a.astype(kind) for n, a in floats.items()})
    _, model = imported(path)
    given = model.network.collect_params()["stage3_block1_expand_conv_weight"].data().asnumpy()
    expected = floats["features.5.conv.0.0.weight"]
    tolerance = {"float16": 2**-11, "float64": 0, "bfloat16": 2**-7}[kind]
    assert 0 <= np.abs(given - expected).max() <= tolerance * np.abs(expected).max()
    assert (kind == "float64") == (given == expected).all()


def tensorflow_logits(arrays: dict[str, np.ndarray], images: np.ndarray) -> np.ndarray:
    """What Keras computes with `arrays` for `images` (N, H, W, 3): its padding, its epsilon."""

    def layer(x: np.ndarray, name: str, norm: str, stride: int = 1, cap: bool = True):
        is_depthwise = f"{name}/depthwise_kernel" in arrays
        kernel = arrays[f"{name}/depthwise_kernel" if is_depthwise else f"{name}/kernel"]
        size, length = len(kernel), x.shape[1]
        total = max((-(-length // stride) - 1) * stride + size - length, 0)
        pad = (total // 2, total - total // 2)
        windows = sliding_window_view(np.pad(x, [(0, 0), pad, pad, (0, 0)]), (size, size), (1, 2))
        formula = "nhwcij,ijcm->nhwc" if is_depthwise else "nhwcij,ijco->nhwo"
        x = np.einsum(formula, windows[:, ::stride, ::stride], kernel, optimize=True)
        gamma, beta, mean, var = (
            arrays[f"{norm}/{kind}"] for kind in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        x = (x - mean) / np.sqrt(var + 1e-3) * gamma + beta
        return np.clip(x, 0, 6) if cap else x

    x = layer(images.astype(np.float64), "Conv1", "bn_Conv1", 2)
    strides = [1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1]
    for number, stride in enumerate(strides):
        block = f"block_{number}" if number else "expanded_conv"
        y = layer(x, f"{block}_expand", f"{block}_expand_BN") if number else x
        y = layer(y, f"{block}_depthwise", f"{block}_depthwise_BN", stride)
        y = layer(y, f"{block}_project", f"{block}_project_BN", cap=False)
        x = x + y if x.shape == y.shape and stride == 1 and number else y
    x = layer(x, "Conv_1", "Conv_1_bn").mean(axis=(1, 2))
    return x @ arrays["predictions/kernel"] + arrays["predictions/bias"]


@pytest.fixture(scope="module")
def paper() -> MobileNetV2:
    return random_network("paper", 0.35, classes=1000)


def test_keras(paper: MobileNetV2, tmp_path: Path) -> None:
    """The epsilon is Keras's; for odd sizes so is the padding."""
    arrays = keras(paper)
    np.savez(tmp_path / "net.npz", **{f"{name}:0": array for name, array in arrays.items()})
    result, model = imported(tmp_path / "net.npz")
    assert (result.family, model.config.model.width_multiplier) == ("Keras", 0.35)
    assert model.transform.normalization == TENSORFLOW
    assert (model.transform.resolution, model.transform.short_side) == (225, 257)
    odd, even = (TENSORFLOW(random_images(2, size, 9)) for size in (65, 64))
    assert_close(model.predict(odd), tensorflow_logits(arrays, odd.transpose(0, 2, 3, 1)))
    with pytest.raises(AssertionError):
        assert_close(model.predict(even), tensorflow_logits(arrays, even.transpose(0, 2, 3, 1)))
    assert any("stay odd" in note for note in result.notes)


@pytest.mark.parametrize("prefix", ["mobilenetv2_0.35_224/", ""])
def test_keras_3_names_every_kernel_alike(prefix: str, paper: MobileNetV2, tmp_path: Path) -> None:
    arrays = {n.replace("depthwise_kernel", "kernel"): a for n, a in keras(paper).items()}
    np.savez(tmp_path / "net.npz", **{f"{prefix}{name}": a for name, a in arrays.items()})
    np.savez(tmp_path / "old.npz", **keras(paper))
    files = [
        imported(tmp_path / name)[0].parameters.read_bytes() for name in ("net.npz", "old.npz")
    ]
    assert files[0] == files[1]


def test_slim_is_keras_with_a_background(paper: MobileNetV2, tmp_path: Path) -> None:
    """A checkpoint's averages are taken; what else training left in it does not matter."""
    arrays = slim(paper)
    averages = {f"{name}/ExponentialMovingAverage": a for name, a in arrays.items()}
    others = {f"{name}/RMSProp_1": a for name, a in list(arrays.items())[:9]}
    last = {name: np.zeros_like(a) for name, a in arrays.items()}
    np.savez(tmp_path / "s.npz", **last, **averages, **others, global_step=np.array(5))
    result, model = imported(tmp_path / "s.npz")
    assert (result.family, model.config.model.classes) == ("slim", 1000)
    assert [word for word in ("averages", "background") if word in " ".join(result.notes)] == [
        "averages",
        "background",
    ]
    np.savez(tmp_path / "k.npz", **keras(paper))
    images = TENSORFLOW(random_images(2, 65, 9))
    np.testing.assert_array_equal(
        model.predict(images), imported(tmp_path / "k.npz")[1].predict(images)
    )


def test_epsilon_is_folded_exactly(paper: MobileNetV2, tmp_path: Path) -> None:
    np.savez(tmp_path / "k.npz", **keras(paper))
    given = imported(tmp_path / "k.npz")[1].network.collect_params()
    for name, parameter in paper.collect_params().items():
        expected = parameter.data().asnumpy()
        if name.endswith("running_var"):
            expected = (expected.astype(np.float64) + 1e-3 - 1e-5).astype(np.float32)
        np.testing.assert_array_equal(given[name].data().asnumpy(), expected)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_width_is_detected(dialect: str) -> None:
    for width in [step / 20 for step in range(2, 41, 3)] + [0.123, 1.0, 3.7]:
        shapes = shapes_of(width, dialect)
        found = detect(shapes)
        assert (found.dialect, found.classes) == (dialect, 12)
        if found.width_multiplier != width:  # a rounder one has the same channels
            assert width not in (0.1, 0.25, 0.35, 0.5, 0.75, 1.0, 1.3, 1.4, 1.5, 2.0)
            assert shapes_of(found.width_multiplier, dialect) == shapes
        assert detect(shapes, width).width_multiplier == width


def shapes_of(width: float, dialect: str) -> dict[str, tuple[int, ...]]:
    network = MobileNetV2(width, 12, DIALECTS[dialect])
    return {name: p.shape for name, p in network.collect_params().items()}


def test_a_graph_with_another_wiring_is_refused(tmp_path: Path) -> None:
    """All layers are there, but a shortcut is missing, or a stride is another."""
    path = tmp_path / "a.onnx"
    network = random_network("gluoncv", 0.1)
    for damage in ("shortcut", "stride"):
        export_network(network, path, GraphOptions(resolution=64))
        model = onnx.load(str(path))
        if damage == "shortcut":
            add = next(node for node in model.graph.node if node.op_type == "Add")
            add.input[1] = add.input[0]
        else:
            strided = [n for n in model.graph.node if n.op_type == "Conv"][1]
            next(a for a in strided.attribute if a.name == "strides").ints[:] = [2, 2]
        path.write_bytes(model.SerializeToString())
        with pytest.raises(WeightsError, match=r"something else|cannot be run"):
            import_weights(path, tmp_path / "made")
        assert not list(tmp_path.glob("made*"))


def test_own_files_get_a_configuration(paper: MobileNetV2, tmp_path: Path) -> None:
    arrays = {name: p.data() for name, p in paper.collect_params().items()}
    with (tmp_path / "own.params").open("wb") as file:
        write_arrays(file, arrays)
    result, model = imported(tmp_path / "own.params")
    assert result.parameters.read_bytes() == (tmp_path / "own.params").read_bytes()
    assert_close(model.predict(IMAGES), logits_of(paper))


@pytest.mark.shared_data
def test_published_weights_come_in_and_back(shared: Path, tmp_path: Path) -> None:
    source = shared / "weights" / "mobilenetv2_1.0-imagenet.params"
    _, first = imported_as(source, tmp_path / "first")
    with np.load(shared / "weights" / "mobilenetv2_1.0-imagenet-check.npz") as check:
        data, expected = check["data"], check["logits"]
    assert np.abs(first.predict(data) - expected).max() < 1e-3
    options = GraphOptions(form="zoo", resolution=225, normalization=TENSORFLOW)
    export_network(first.network, tmp_path / "zoo.onnx", options)
    _, again = imported_as(tmp_path / "zoo.onnx", tmp_path / "again")
    assert np.abs(again.predict(data) - expected).max() < 1e-3


def imported_as(path: Path, output: Path) -> tuple[ImportResult, LoadedModel]:
    result = import_weights(path, output)
    return result, open_model(result.parameters, result.config_path)
