"""The three forms of the graph compute the same: outputs, gradients, running statistics."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon

from mobilenet.network.architecture import (
    DIALECTS,
    ConvNorm,
    Convolution,
    InvertedResidual,
    MobileNetV2,
)
from mobilenet.network.batchnorm_relu6_fusion import fuse_activations
from mobilenet.network.channel_padding import (
    pad_channels,
    share_statistics,
    with_padded_parameters,
)
from mobilenet.network.graph_forms import inference_block, symbol_of, training_block, training_form
from mobilenet.training.optimizer import Momentum, Optimizer, WeightDecay
from mobilenet.training.step import Objective, TrainingStep

WIDTHS = (0.1, 0.25, 0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
CASES = [("paper", 0.35, 64), ("paper", 1.0, 65), ("gluoncv", 0.75, 97), ("origin", 0.5, 32)]
Results = dict[str, np.ndarray]


def randomize(net: gluon.HybridBlock) -> None:
    """Weights that keep the scale of the data; gammas and betas with which ReLU6 cuts both ways."""
    net.initialize(force_reinit=True)
    random = np.random.default_rng(0)
    for name, parameter in net.collect_params().items():
        shape = parameter.shape
        if name.endswith("weight"):
            value = random.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        elif name.endswith("gamma"):
            value = random.uniform(0.5, 1.5, shape)
        elif name.endswith("beta"):
            value = random.normal(1, 2, shape)
        else:
            continue
        parameter.set_data(mx.nd.array(value))


def network(dialect: str, width: float) -> MobileNetV2:
    net = MobileNetV2(width, 10, DIALECTS[dialect])
    randomize(net)
    return net


def parameters(net: gluon.HybridBlock) -> Results:
    return {name: p.data().asnumpy() for name, p in net.collect_params().items()}


def step(net: gluon.HybridBlock, block: gluon.HybridBlock, data: np.ndarray) -> Results:
    """Loss, gradients and running statistics after one training step's forward and backward."""
    labels = mx.nd.array(np.random.default_rng(1).integers(0, 10, len(data)))
    with autograd.record():
        loss = gluon.loss.SoftmaxCrossEntropyLoss()(block(mx.nd.array(data)), labels)
    loss.backward()
    results = {"loss": loss.asnumpy()}
    for name, parameter in net.collect_params().items():
        trained = parameter.grad_req != "null"
        results[name] = (parameter.grad() if trained else parameter.data()).asnumpy()
    return results


def distance(a: Results, b: Results) -> float:
    """How far apart two results are, relative to their length."""
    assert set(a) == set(b)
    difference = sum(float(((a[name] - b[name]) ** 2).sum()) for name in a)
    return (difference / sum(float((a[name] ** 2).sum()) for name in a)) ** 0.5


@pytest.mark.parametrize("inner", [8, 17, 24, 96])
@pytest.mark.parametrize("size", [7, 32])
@pytest.mark.parametrize("activation", ["relu6", "relu"])
def test_one_block_in_training_form(inner: int, size: int, activation: str) -> None:
    data = np.random.default_rng(2).normal(size=(4, 3, size, size))
    plain, fused = (one_block(inner, activation) for _ in range(2))
    # MXNet and oneDNN sum 4096 gradients in another order. For 17 channels they are up to 7e-5 off
    # the exact gradients (computed in float64), with one thread 2e-5.
    is_alone = os.environ["OMP_NUM_THREADS"] == "1"
    bound = 1e-4 if inner == 17 else 3e-5 if is_alone else 1e-5
    given = step(fused, training_block(fused, [mx.cpu()]), data)
    assert distance(step(plain, plain, data), given) < bound


def one_block(inner: int, activation: str) -> gluon.HybridBlock:
    net = gluon.nn.HybridSequential(prefix="")
    net.add(ConvNorm(Convolution(3, inner, 3), activation, prefix="first_"))
    net.add(InvertedResidual((inner, inner), 2 * inner, 1, activation, prefix="block_"))
    net.add(gluon.nn.GlobalAvgPool2D(), gluon.nn.Dense(10, in_units=inner, prefix="dense_"))
    randomize(net)
    return net


@pytest.mark.parametrize(("dialect", "width", "size"), CASES)
def test_training_form_equals_the_plain_network(dialect: str, width: float, size: int) -> None:
    nets = [network(dialect, width) for _ in range(3)]
    data = np.random.default_rng(2).normal(size=(16, 3, size, size)).astype(np.float32)
    expected = step(nets[0], nets[0], data)
    # Fifty layers of ReLU6 and BatchNorm amplify any rounding: what one unit in the last place of
    # the input does to the plain network is the measure.
    nudged = step(nets[1], nets[1], data * np.float32(1 + 2**-22))
    noise = distance(expected, nudged)
    assert noise < 0.02
    fused = step(nets[2], training_block(nets[2], [mx.cpu()]), data)
    assert distance(expected, fused) < 5 * noise + 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("size", [15, 16])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_neighbouring_blocks_in_training_form(dialect: str, width: float, size: int) -> None:
    # Few layers hardly amplify rounding, where all of them do (above).
    blocks = list(network(dialect, width).features)[:-1]
    random = np.random.default_rng(2)
    channels = 3
    for first, second in zip(blocks, blocks[1:]):
        out_channels = list(second.collect_params(".*beta").values())[-1].shape[0]
        net = gluon.nn.HybridSequential(prefix="")
        net.add(ConvNorm(Convolution(3, channels), None, prefix="image_"))
        net.add(first, second, gluon.nn.GlobalAvgPool2D())
        net.add(gluon.nn.Dense(10, in_units=out_channels, prefix="dense_"))
        data = random.normal(size=(4, 3, size, size))
        randomize(net)
        expected = step(net, net, data)
        randomize(net)
        assert distance(expected, step(net, training_block(net, [mx.cpu()]), data)) < 2e-3
        channels = list(first.collect_params(".*beta").values())[-1].shape[0]


def trained(
    net: gluon.HybridBlock, block: gluon.HybridBlock, size: int, scale: float = 1
) -> Results:
    """Parameters and running statistics after two whole steps."""
    random = np.random.default_rng(3)
    optimizer = Optimizer(dict(net.collect_params().items()), Momentum(0.9, True), WeightDecay(0))
    take_step = TrainingStep(block, [mx.cpu()], Objective(classes=10), optimizer)
    for number in range(2):
        images = random.normal(size=(16, 3, size, size)).astype(np.float32) * np.float32(scale)
        take_step(images, random.integers(0, 10, 16).astype(np.int32), number, 0.01)
    return parameters(net)


WHOLE_STEPS = [(0.5, 64), *itertools.product((0.1, 1.0, 1.4, 2.0), (64, 65))]


@pytest.mark.parametrize(
    ("width", "size"),
    [
        pytest.param(width, size, marks=[pytest.mark.slow] if width != 0.5 else [])
        for width, size in WHOLE_STEPS
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_whole_steps_in_training_form(dialect: str, width: float, size: int) -> None:
    start, plain, nudged, fused = (network(dialect, width) for _ in range(4))
    expected = trained(plain, plain, size)
    way = distance(expected, parameters(start))
    # Rounding grows with every layer and step. It stays small beside the way made, or is what one
    # unit in the last place of the images does to the plain network; never as large as the way.
    noise = distance(expected, trained(nudged, nudged, size, 1 + 2**-22))
    given = trained(fused, training_block(fused, [mx.cpu()]), size)
    assert distance(expected, given) < max(0.05 * way, min(3 * noise, 0.75 * way))


def test_every_relu6_is_rewritten_and_nothing_else() -> None:
    symbol = symbol_of(network("paper", 0.5))
    operators = [node["op"] for node in json.loads(symbol.tojson())["nodes"]]
    fused, constants = fuse_activations(symbol, block_size=8)
    rewritten = [node["op"] for node in json.loads(fused.tojson())["nodes"]]
    assert operators.count("clip") == 35
    assert rewritten.count("clip") == 1  # of the head, whose output is pooled
    assert rewritten.count("_contrib_BatchNormWithReLU") == 2 * 34
    assert rewritten.count("BatchNorm") == operators.count("BatchNorm") - 34
    assert rewritten.count("Convolution") == operators.count("Convolution")
    assert set(fused.list_arguments() + fused.list_auxiliary_states()) == {
        *symbol.list_arguments(),
        *symbol.list_auxiliary_states(),
        *constants,
    }


def test_every_relu_is_rewritten() -> None:
    symbol = symbol_of(network("origin", 1.0))
    operators = [node["op"] for node in json.loads(symbol.tojson())["nodes"]]
    fused, constants = fuse_activations(symbol, block_size=8)
    rewritten = [node["op"] for node in json.loads(fused.tojson())["nodes"]]
    assert operators.count("Activation") == 36
    assert rewritten.count("Activation") == 1  # of the head, whose output is pooled
    assert rewritten.count("_contrib_BatchNormWithReLU") == 35
    assert constants == {}


@pytest.mark.parametrize(
    ("instructions", "flag", "size"), [("AVX2", "avx2", 8), ("ALL", "avx512bw", 16)]
)
def test_channels_fill_the_blocks_of_the_instructions(
    instructions: str, flag: str, size: int
) -> None:
    if flag not in Path("/proc/cpuinfo").read_text():
        pytest.skip(f"the processor has no {flag}")
    module = "mobilenet.network.batchnorm_relu6_fusion"
    program = f"import mobilenet; from {module} import sound_block_size as f; print(f())"
    environment = {**os.environ, "DNNL_MAX_CPU_ISA": instructions}
    call = [sys.executable, "-c", program]
    done = subprocess.run(call, check=True, capture_output=True, text=True, env=environment)
    assert done.stdout == f"{size}\n"


@pytest.mark.parametrize(("machine", "name"), [("x86_64", "fused"), ("aarch64", "plain")])
def test_the_processor_decides_on_the_form(
    machine: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert training_form([mx.cpu()]).name == name
    assert training_form([mx.gpu()]).name == "plain"


@pytest.mark.parametrize("block_size", [8, 16, 32])
@pytest.mark.parametrize(("dialect", "width"), [("gluoncv", 0.35), ("paper", 0.75)])
def test_padding_fills_all_blocks_and_changes_nothing(
    dialect: str, width: float, block_size: int
) -> None:
    net = network(dialect, width)
    symbol = with_padded_parameters(pad_channels(symbol_of(net), block_size), net.collect_params())
    inner = symbol.get_internals()
    shapes = zip(inner.list_outputs(), inner.infer_shape(data=(1, 3, 64, 64))[1])
    channels = [shape[1] for name, shape in shapes if name.endswith("norm_fwd_output")]
    assert len(channels) == 52
    assert all(number % block_size == 0 for number in channels)
    data = np.random.default_rng(2).normal(size=(4, 3, 64, 64))
    for _ in range(20):
        step(net, net, data)
    expected = net(mx.nd.array(data)).asnumpy()
    block = gluon.SymbolBlock(symbol, [mx.sym.var("data", dtype="float32")], net.collect_params())
    share_statistics(block, net, [mx.cpu()], block_size)
    given = block(mx.nd.array(data)).asnumpy()
    np.testing.assert_allclose(given, expected, atol=1e-4 * np.abs(expected).max())


def test_padded_statistics_are_the_networks() -> None:
    plain, padded = (network("gluoncv", 0.35) for _ in range(2))
    block = training_block(padded, [mx.cpu()])
    data = np.random.default_rng(2).normal(size=(16, 3, 64, 64))
    expected, given = step(plain, plain, data), step(padded, block, data)
    (small,) = (n for n in expected if n.endswith("stage1_block0_project_norm_running_mean"))
    assert expected[small].shape == (5,)
    np.testing.assert_allclose(given[small], expected[small], atol=1e-5)
    before = block(mx.nd.array(data)).asnumpy()
    padded.collect_params()[small].set_data(mx.nd.array([9, -9, 9, -9, 9]))
    assert not np.allclose(block(mx.nd.array(data)).asnumpy(), before)


def test_training_form_shares_the_parameters() -> None:
    net = network("paper", 0.35)
    block = training_block(net, [mx.cpu()])
    data = mx.nd.ones((1, 3, 32, 32))
    before = block(data).asnumpy()
    weight = net.collect_params()["classifier_weight"]
    weight.set_data(weight.data() * 2)
    assert not np.allclose(block(data).asnumpy(), before)


def test_several_devices() -> None:
    net = network("paper", 0.35)
    devices = [mx.cpu(0), mx.cpu(1)]
    net.collect_params().reset_ctx(devices)
    block = training_block(net, devices)
    outputs = [block(mx.nd.ones((1, 3, 32, 32), ctx=device)).asnumpy() for device in devices]
    np.testing.assert_array_equal(*outputs)


@pytest.mark.parametrize(("dialect", "width", "size"), CASES)
def test_inference_form_equals_the_plain_network(dialect: str, width: float, size: int) -> None:
    net = network(dialect, width)
    data = np.random.default_rng(2).normal(size=(3, 3, size, size))
    for _ in range(20):
        step(net, net, data)  # statistics that fit the data, without which logits mean little
    expected = net(mx.nd.array(data)).asnumpy()
    got = inference_block(net, mx.cpu())(mx.nd.array(data)).asnumpy()
    np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max())


def test_inference_form_takes_any_shape() -> None:
    net = network("paper", 0.35)
    block = inference_block(net, mx.cpu())
    random = np.random.default_rng(2)
    for size, resolution in ((4, 64), (1, 64), (4, 64), (2, 97), (4, 64)):
        data = random.normal(size=(size, 3, resolution, resolution))
        expected = inference_block(net, mx.cpu())(mx.nd.array(data)).asnumpy()
        np.testing.assert_array_equal(block(mx.nd.array(data)).asnumpy(), expected)


def test_inference_form_is_a_copy() -> None:
    net = network("paper", 0.35)
    block = inference_block(net, mx.cpu())
    data = mx.nd.ones((1, 3, 32, 32))
    before = block(data).asnumpy()
    net.collect_params()["classifier_weight"].set_data(mx.nd.zeros((10, 1280)))
    np.testing.assert_array_equal(block(data).asnumpy(), before)
