"""The written graph: its operators, its bytes, and what three other programs compute with it."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import itertools
import json
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import onnx
import onnxruntime
import pytest
from mxnet.gluon import nn
from onnx import numpy_helper
from onnx.helper import get_attribute_value
from random_networks import random_network

from mobilenet.data.eval_transforms import IMAGENET, TENSORFLOW
from mobilenet.errors import UserError, VerificationError, WeightsError
from mobilenet.network.architecture import DIALECTS, MobileNetV2, parameter_arrays
from mobilenet.network.graph_forms import symbol_of
from mobilenet.onnx.example_images import random_images
from mobilenet.onnx.exporter import export_network
from mobilenet.onnx.graph import GraphOptions
from mobilenet.onnx.metadata import Metadata, from_properties, settings_of
from mobilenet.onnx.runtime import OnnxModel
from mobilenet.onnx.writer import write_model

SMALL = GraphOptions(resolution=64)


def arrays_of(network: nn.HybridBlock) -> dict[str, np.ndarray]:
    mx.nd.waitall()
    return {name: array.asnumpy() for name, array in parameter_arrays(network).items()}


def written(network: nn.HybridBlock, options: GraphOptions = SMALL) -> onnx.ModelProto:
    return write_model(symbol_of(network), arrays_of(network), options, Metadata())


def logits_of(network: nn.HybridBlock, images: np.ndarray) -> np.ndarray:
    return network(mx.nd.array(IMAGENET(images))).asnumpy()


def counts(model: onnx.ModelProto) -> dict[str, int]:
    return dict(collections.Counter(node.op_type for node in model.graph.node))


def run(model: onnx.ModelProto, data: np.ndarray, optimized: bool = True) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(None, {"data": data})[0]


def assert_close(given: np.ndarray, expected: np.ndarray) -> None:
    assert given.shape == expected.shape
    assert np.abs(given - expected).max() <= 1e-4 * np.abs(expected).max()
    assert (given.argmax(axis=1) == expected.argmax(axis=1)).all()


@pytest.fixture(scope="module")
def paper() -> MobileNetV2:
    return random_network("paper")


@pytest.fixture(scope="module")
def origin() -> MobileNetV2:
    return random_network("origin")


@pytest.mark.parametrize(
    ("dialect", "width", "resolution"),
    [
        ("paper", 0.1, 96),
        ("paper", 0.5, 64),
        ("paper", 1.0, 224),
        ("gluoncv", 0.35, 32),
        ("gluoncv", 0.75, 128),
        ("origin", 0.25, 160),
        ("origin", 1.4, 64),
    ],
)
def test_every_dialect_and_width_is_proven(
    dialect: str, width: float, resolution: int, tmp_path: Path
) -> None:
    network = random_network(dialect, width, classes=100)
    options = GraphOptions(resolution=resolution)
    result = export_network(network, tmp_path / "a.onnx", options)
    assert result.difference.num_images == result.difference.num_same_class == 10
    assert result.opset == 7
    assert result.num_bytes == result.path.stat().st_size


@pytest.mark.slow
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("step", range(2, 41))
def test_the_whole_grid_of_widths_is_proven(dialect: str, step: int, tmp_path: Path) -> None:
    """From 0.1 to 2.0 in steps of 0.05."""
    network = random_network(dialect, step / 20, classes=1000)
    for resolution in (96, 160, 224):
        result = export_network(network, tmp_path / "a.onnx", GraphOptions(resolution=resolution))
        assert result.difference.num_same_class == 10
        assert result.difference.relative < 5e-5


def test_origin_form_has_the_published_nodes() -> None:
    """To the byte, as tests/runs/test_export.py shows of the command."""
    network = MobileNetV2(1.0, 1000, DIALECTS["origin"])
    network.initialize(mx.init.MSRAPrelu())
    model = written(network, GraphOptions(form="zoo", batch=1))
    assert len(model.graph.node) == 155
    names = {node.name for node in model.graph.node}
    # Read by third-party code from the published file: Jina's encoder, N2D2, DirectML's samples.
    assert names >= {
        "mobilenetv20_features_conv0_fwd",
        "mobilenetv20_features_relu0_fwd",
        "mobilenetv20_features_linearbottleneck1_conv0_fwd",
        "mobilenetv20_features_linearbottleneck3_batchnorm0_fwd",
        "mobilenetv20_features_linearbottleneck9_relu1_fwd",
        "mobilenetv20_features_linearbottleneck13_batchnorm0_fwd",
        "mobilenetv20_features_batchnorm1_fwd",
        "mobilenetv20_features_pool0_fwd",
        "mobilenetv20_output_pred_fwd",
    }
    (output,) = model.graph.output
    assert output.name == "mobilenetv20_output_flatten0_reshape0"
    assert [d.dim_value for d in output.type.tensor_type.shape.dim] == [1, 1000]
    assert model.ir_version == 3
    assert [tensor.name for tensor in model.graph.initializer] == [
        port.name for port in model.graph.input[1:]
    ]


def test_origin_names_are_those_of_gluons_model_zoo() -> None:
    """Gluon's own MobileNet v2, which is the origin's network, has the names of the weights."""
    theirs = mx.gluon.model_zoo.vision.get_mobilenet_v2(0.5, prefix="mobilenetv20_")
    network = MobileNetV2(0.5, 1000, DIALECTS["origin"])
    network.initialize(mx.init.MSRAPrelu())
    model = written(network, GraphOptions(form="zoo"))
    shapes = {t.name: tuple(t.dims) for t in model.graph.initializer}
    assert shapes.pop("reshape_attr_tensor") == (2,)
    names = [name for name in theirs.collect_params() if not name.startswith("features_")]
    assert set(shapes) == set(names)


def test_folding_is_exact(origin: MobileNetV2) -> None:
    """The folded weights are those that float64 gives, rounded once."""
    model = written(origin)
    arrays = {name: a.astype(np.float64) for name, a in arrays_of(origin).items()}
    folded = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    prefix = "stage3_block1_depthwise_"
    gamma, beta, mean, var = (
        arrays[f"{prefix}norm_{name}"] for name in ("gamma", "beta", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(var + np.float32(1e-5))
    weight = arrays[f"{prefix}conv_weight"] * scale[:, None, None, None]
    name = f"{prefix}conv_weight"
    assert (folded[name] == weight.astype(np.float32)).all()
    assert (folded[f"{name}_folded_bias"] == (beta - mean * scale).astype(np.float32)).all()


def test_portable_form_has_no_batch_norm_and_runs_any_batch(paper: MobileNetV2) -> None:
    model = written(paper)
    assert counts(model) == {
        "Conv": 52,
        "Clip": 35,
        "Add": 10,
        "GlobalAveragePool": 1,
        "Flatten": 1,
        "Gemm": 1,
    }
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 7)]
    for size in (1, 2, 7):
        images = random_images(size, 64, size)
        data = IMAGENET(images)
        for optimized in (True, False):
            assert_close(run(model, data, optimized), logits_of(paper, images))


def test_origin_form_runs_without_optimizations(origin: MobileNetV2) -> None:
    """With `spatial=0`, which MXNet 1.3 to 1.7 wrote, ONNX Runtime only runs fused BatchNorm."""
    images = random_images(3, 64, 1)
    model = written(origin, dataclasses.replace(SMALL, form="zoo"))
    given = run(model, IMAGENET(images), optimized=False)
    assert_close(given, logits_of(origin, images))


def test_a_single_class_is_always_certain(tmp_path: Path) -> None:
    """The logarithms of its probabilities are all 0."""
    network = random_network("paper", 0.1, classes=1)
    options = GraphOptions(resolution=32, softmax=True)
    result = export_network(network, tmp_path / "a.onnx", options)
    assert result.difference == (10, 10, 0, 0, 0)


@pytest.fixture(scope="module")
def narrow() -> MobileNetV2:
    return random_network("paper", 0.1)


NEWEST = onnx.defs.onnx_opset_version()
OPTIONS = [
    {},
    {"batch": 3},
    {"resolution": None},
    {"softmax": True},
    {"pixels": "float"},
    {"pixels": "uint8"},
    {"pixels": "uint8", "softmax": True, "batch": 3, "resolution": None},
    {"opset": 8},
    {"opset": 9},
    {"opset": 11, "softmax": True},
    {"opset": 13, "softmax": True, "pixels": "uint8"},
    {"opset": 18},
    {"opset": min(21, NEWEST), "resolution": None},
    {"form": "zoo"},
    {"form": "zoo", "batch": 3},
    {"form": "zoo", "opset": 13},
]


@pytest.mark.parametrize("chosen", OPTIONS, ids=str)
def test_options_in_onnxruntime_and_opencv(chosen, origin: MobileNetV2, tmp_path: Path) -> None:
    options = dataclasses.replace(SMALL, **chosen)
    path = tmp_path / "a.onnx"
    export_network(origin, path, options)
    images = random_images(3, 64, 11)
    expected = logits_of(origin, images)
    if options.softmax:
        powers = np.exp(expected.astype(np.float64))
        expected = powers / powers.sum(axis=1, keepdims=True)
    pixels = options.pixels != "normalised"
    data = images.astype(np.float32) if pixels else IMAGENET(images)
    assert_close(OnnxModel(path).predict(data), expected)
    opencv = cv2.dnn.readNetFromONNX(str(path))
    takes_uint8 = options.pixels == "uint8" and cv2.getVersionMajor() >= 5
    opencv.setInput(images if takes_uint8 else data)
    assert_close(opencv.forward(), expected)


@pytest.mark.parametrize("opset", range(8, min(21, NEWEST) + 1))
def test_every_opset_is_proven(opset: int, narrow: MobileNetV2, tmp_path: Path) -> None:
    result = export_network(narrow, tmp_path / "a.onnx", dataclasses.replace(SMALL, opset=opset))
    assert onnx.load(str(result.path)).opset_import[0].version == result.opset == opset
    assert result.difference.num_same_class == 10


def test_normalisation_inside_the_graph_is_right_at_the_borders(paper: MobileNetV2) -> None:
    """White pixels make the largest error if the mean is folded into a padded convolution."""
    options = dataclasses.replace(SMALL, pixels="uint8", normalization=TENSORFLOW)
    images = np.full((2, 3, 64, 64), 255, np.uint8)
    images[1, :, :3] = 0
    data = TENSORFLOW(images)
    expected = paper(mx.nd.array(data)).asnumpy()
    assert_close(run(written(paper, options), images), expected)


def test_half_weights_are_the_folded_ones_rounded(paper: MobileNetV2, tmp_path: Path) -> None:
    whole, half = tmp_path / "whole.onnx", tmp_path / "half.onnx"
    export_network(paper, whole, SMALL)
    result = export_network(paper, half, dataclasses.replace(SMALL, half_weights=True))
    assert 0.45 < result.num_bytes / whole.stat().st_size < 0.6
    model = onnx.load(str(whole))
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.ndim > 1:
            rounded = array.astype(np.float16).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(rounded, tensor.name))
    data = IMAGENET(random_images(3, 64, 4))
    assert (run(model, data) == OnnxModel(half).predict(data)).all()


def test_same_arguments_give_the_same_bytes(paper: MobileNetV2, tmp_path: Path) -> None:
    facts = Metadata(class_names=tuple("abcdefghij"), top1_accuracy=0.5, source="run")
    paths = [tmp_path / name for name in ("a.onnx", "b.onnx")]
    for path in paths:
        export_network(paper, path, dataclasses.replace(SMALL, opset=13), facts)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_metadata_is_read_back(paper: MobileNetV2, tmp_path: Path) -> None:
    facts = Metadata(
        resolution=64,
        transform="center-crop",
        short_side=74,
        width_multiplier=0.35,
        dialect="paper",
        class_names=("n01440764 tench, Tinca tinca", "Füße", *"cdefghij"),
        source="7",
        top1_accuracy=0.7203,
        top5_accuracy=0.9057,
        num_validated=50_000,
    )
    export_network(paper, tmp_path / "a.onnx", SMALL, facts)
    model = OnnxModel(tmp_path / "a.onnx")
    own = {"mean": IMAGENET.mean, "std": IMAGENET.std, "pixels": "normalised", "output": "logits"}
    assert model.metadata == dataclasses.replace(facts, **own)
    properties = {p.key: p.value for p in onnx.load(str(tmp_path / "a.onnx")).metadata_props}
    assert json.loads(properties["mean"]) == [0.485, 0.456, 0.406]
    lines = "\n".join([*facts.class_names, ""])
    digest = hashlib.sha256(lines.encode()).hexdigest()  # as sha256sum gives for synset.txt
    assert properties["class_names_sha256"] == digest


def test_foreign_metadata_is_passed_over() -> None:
    foreign = {"author": "someone", "class_names": "cat,dog", "resolution": "160"}
    assert from_properties(foreign) == Metadata(resolution=160)
    measured = {"top1_accuracy": "71.8 %", "top5_accuracy": "[0.9]", "num_validated": "all"}
    assert from_properties(measured) == Metadata()
    assert from_properties({"mean": "[" * 100_000}).mean == "[" * 100_000


@pytest.mark.parametrize("text", ["[" * 500 + "]" * 500, "[[1]]", '{"a": 1}', '[{"a": 1}]'])
def test_no_fact_is_nested(text: str) -> None:
    facts = from_properties({"mean": text, "class_names": text, "source": text})
    assert (facts.mean, facts.class_names, facts.source) == (text, (), text)
    settings_of(facts, 1000)


def test_dropout_and_fixed_gamma() -> None:
    """Dropout is left out, and a gamma that `fix_gamma` overrides is written as ones."""
    data = mx.sym.var("data")
    convolved = mx.sym.Convolution(data, kernel=(3, 3), num_filter=4, no_bias=True, name="c")
    normalised = mx.sym.BatchNorm(mx.sym.Dropout(convolved), fix_gamma=True, name="n")
    pooled = mx.sym.Pooling(normalised, pool_type="avg", global_pool=True, kernel=(1, 1))
    symbol = mx.sym.Flatten(pooled)
    generator = np.random.default_rng(0)
    arrays = {
        "c_weight": generator.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "n_gamma": np.full(4, 5, np.float32),
        "n_beta": np.zeros(4, np.float32),
        "n_moving_mean": np.zeros(4, np.float32),
        "n_moving_var": np.full(4, 1 - 1e-3, np.float32),
    }
    model = write_model(symbol, arrays, GraphOptions(resolution=8), Metadata())
    images = generator.normal(size=(1, 3, 8, 8)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(images[0], (3, 3), axis=(1, 2))
    expected = np.einsum("chwij,ocij->ohw", windows, arrays["c_weight"]).mean(axis=(1, 2))
    assert np.abs(run(model, images)[0] - expected).max() < 1e-5


def test_batch_norms_keep_their_momentum() -> None:
    """It has no effect on inference, so no proof sees it; who trains the file on needs it."""
    momenta = (0.75, 0.99)
    values = mx.sym.var("data")
    for momentum in momenta:
        values = mx.sym.BatchNorm(values, momentum=momentum, name=f"n{momentum}")
    pooled = mx.sym.Pooling(values, pool_type="avg", global_pool=True, kernel=(1, 1))
    symbol = mx.sym.Flatten(pooled)
    names = [name for name in symbol.list_inputs() if name != "data"]
    arrays = {name: np.ones(3, np.float32) for name in names}
    model = write_model(symbol, arrays, GraphOptions(resolution=8), Metadata())
    norms = [node for node in model.graph.node if node.op_type == "BatchNormalization"]
    attributes = [{a.name: get_attribute_value(a) for a in norm.attribute} for norm in norms]
    assert [each["momentum"] for each in attributes] == pytest.approx(momenta)


def test_unknown_operator_is_named() -> None:
    symbol = mx.sym.tanh(mx.sym.var("data"), name="squashed")
    with pytest.raises(UserError, match="tanh 'squashed' cannot be written") as caught:
        write_model(symbol, {}, SMALL, Metadata())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("symbol", "reason"),
    [
        (lambda x: mx.sym.Activation(x, act_type="sigmoid"), "act_type"),
        (lambda x: mx.sym.Pooling(x, pool_type="max", kernel=(2, 2)), "global average"),
        (lambda x: mx.sym.softmax(x, axis=2), "axis"),
    ],
)
def test_operators_that_are_used_otherwise_are_refused(symbol, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        write_model(symbol(mx.sym.var("data")), {}, SMALL, Metadata())


def test_bad_arrays_are_named(paper: MobileNetV2) -> None:
    symbol, good = symbol_of(paper), arrays_of(paper)
    name = "stage2_block0_expand_norm_beta"
    with pytest.raises(WeightsError, match=name):
        write_model(symbol, {**good, name: np.full_like(good[name], np.nan)}, SMALL, Metadata())
    with pytest.raises(WeightsError, match=f"{name}.*shape"):
        write_model(symbol, {**good, name: good[name][1:]}, SMALL, Metadata())
    with pytest.raises(WeightsError, match=name):
        write_model(symbol, {k: v for k, v in good.items() if k != name}, SMALL, Metadata())
    weight = "head_conv_weight"
    huge = {**good, weight: np.full_like(good[weight], 1e30)}
    half = dataclasses.replace(SMALL, half_weights=True)
    with pytest.raises(WeightsError, match=weight):
        write_model(symbol, huge, half, Metadata())


@pytest.mark.parametrize(
    "chosen",
    [
        {"opset": 6},
        {"opset": 99},
        {"batch": 0},
        {"resolution": 0},
        {"form": "zoo", "softmax": True},
        {"form": "zoo", "pixels": "uint8"},
        {"form": "zoo", "half_weights": True},
    ],
    ids=str,
)
def test_options_without_sense_are_refused(chosen) -> None:
    with pytest.raises(UserError):
        GraphOptions(**chosen)


def test_opsets_that_onnxruntime_does_not_know_yet_are_told_apart(
    paper: MobileNetV2, tmp_path: Path
) -> None:
    """The installed onnx may be newer than the installed ONNX Runtime."""
    path = tmp_path / "a.onnx"
    try:
        export_network(paper, path, dataclasses.replace(SMALL, opset=NEWEST))
    except VerificationError as error:
        assert "refuses the exported graph" in str(error)
        assert "\n" not in str(error)
        assert list(tmp_path.iterdir()) == []
    else:
        assert onnx.load(str(path)).opset_import[0].version == NEWEST


def test_origin_form_needs_a_convolution_as_classifier(paper: MobileNetV2) -> None:
    with pytest.raises(UserError, match="portable"):
        written(paper, dataclasses.replace(SMALL, form="zoo"))


def test_every_number_of_the_spread_is_another_file(paper: MobileNetV2) -> None:
    """Options change the bytes: none is without effect."""
    files = [
        written(paper, dataclasses.replace(SMALL, **chosen)).SerializeToString()
        for chosen in OPTIONS
        if chosen.get("form") != "zoo"
    ]
    for one, other in itertools.combinations(files, 2):
        assert one != other
