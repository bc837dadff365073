"""In bfloat16 the network computes what float32 and float64 do, but for rounding."""

from __future__ import annotations

import json
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon
from mxnet.gluon import nn

from mobilenet.compat.environment import has_bfloat16
from mobilenet.network.architecture import DIALECTS, InvertedResidual, MobileNetV2
from mobilenet.network.batchnorm_relu6_fusion import fuse_activations, fused_block
from mobilenet.network.bfloat16_graph import graph_operator, in_bfloat16
from mobilenet.network.channel_padding import pad_channels
from mobilenet.network.graph_forms import symbol_of

BLOCK_SIZE = 16
Gradients = dict[str, np.ndarray]

needs_bfloat16 = pytest.mark.skipif(
    not has_bfloat16(), reason="the processor has no AVX512-BF16, or oneDNN may not use it"
)


def randomized(net: gluon.HybridBlock) -> gluon.HybridBlock:
    """Weights that keep the scale of the data; gammas and betas with which ReLU6 cuts both ways."""
    net.initialize()
    random = np.random.default_rng(0)
    for name, parameter in net.collect_params().items():
        shape = parameter.shape
        if name.endswith("weight"):
            parameter.set_data(random.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape))
        elif name.endswith("gamma"):
            parameter.set_data(random.uniform(0.5, 1.5, shape))
        elif name.endswith("beta"):
            parameter.set_data(random.normal(1, 2, shape))
    return net


def relu6() -> nn.HybridLambda:
    return nn.HybridLambda(lambda F, x: F.clip(x, 0, 6))


def one_block(stride: int = 1) -> nn.HybridSequential:
    """A stem and a block of the network."""
    net = nn.HybridSequential(prefix="")
    stem = nn.HybridSequential(prefix="stem_")
    with stem.name_scope():
        stem.add(nn.Conv2D(32, 3, padding=1, use_bias=False, in_channels=3))
        stem.add(nn.BatchNorm(in_channels=32))
        stem.add(relu6())
    net.add(stem, InvertedResidual((32, 32), 192, stride, "relu6", prefix="block_"))
    return randomized(net)


def gradients(net: gluon.HybridBlock, block: gluon.HybridBlock, kind: str) -> Gradients:
    """Of every trained parameter, and the outputs, for fixed images and a fixed gradient."""
    random = np.random.default_rng(1)
    images = mx.nd.array(random.normal(size=(8, 3, 28, 28)), dtype=kind)
    with autograd.record():
        outputs = block(images)
    outputs.backward(mx.nd.array(random.normal(size=outputs.shape), dtype=kind))
    trained = {n: p for n, p in net.collect_params().items() if p.grad_req != "null"}
    return {"outputs": outputs.asnumpy(), **{n: p.grad().asnumpy() for n, p in trained.items()}}


def error(given: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(given - expected) / np.linalg.norm(expected))


def rounding_block(net: gluon.HybridBlock) -> gluon.SymbolBlock:
    """The fused form in float32 operators, whose inputs and outputs are rounded to bfloat16.

    It has the rounding of bfloat16, but none of its kernels.
    """
    data = mx.sym.var("data", dtype="float32")
    padded = pad_channels(net(data), BLOCK_SIZE)
    fused, constants = fuse_activations(padded, BLOCK_SIZE, "bfloat16")
    nodes = json.loads(in_bfloat16(fused).tojson(remove_amp_cast=False))["nodes"]
    built: list[mx.sym.Symbol] = []
    for node in nodes:
        inputs = [built[index][output] for index, output, *_ in node["inputs"]]
        sources = [nodes[index] for index, *_ in node["inputs"]]
        if node["op"] == "null":
            built.append(mx.sym.var(node["name"], attr=node.get("attrs")))
        elif node["op"] == "amp_cast":
            built.append(rounded(inputs[0]))
        else:
            made = graph_operator(node["op"])(*inputs, name=node["name"], **node.get("attrs", {}))
            is_of_image = node["op"] == "Convolution" and sources[0]["op"] == "null"
            built.append(made if is_of_image else rounded(made))
    block = gluon.SymbolBlock(built[-1], [data], net.collect_params())
    for name, value in constants.items():
        parameter = block.params.get(name)
        parameter.shape, parameter.grad_req = value.shape, "null"
        parameter.initialize(mx.init.Constant(value))
    return block


def rounded(value: mx.sym.Symbol) -> mx.sym.Symbol:
    return mx.sym.amp_cast(mx.sym.amp_cast(value, dtype="bfloat16"), dtype="float32")


@needs_bfloat16
@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_differ_from_those_of_float64_by_rounding_alone(stride: int) -> None:
    """Where BatchNorm cancels most of a gradient, rounding is much of the rest."""
    exact, net, other = (one_block(stride) for _ in range(3))
    exact.cast("float64")
    expected = gradients(exact, exact, "float64")
    block = fused_block(net, [mx.cpu()], BLOCK_SIZE, "bfloat16")
    block.hybridize(static_alloc=True, static_shape=True)
    given = gradients(net, block, "float32")
    by_rounding = gradients(other, rounding_block(other), "float32")
    for name, array in expected.items():
        assert given[name].dtype == np.float32
        explained = error(by_rounding[name], array)
        assert error(given[name], array) < 1.5 * explained + 0.01, (name, explained)
    assert error(given["outputs"], expected["outputs"]) < 0.02


@needs_bfloat16
def test_activations_are_as_fine_as_those_of_int8() -> None:
    """6 - b in bfloat16 has steps of 1 / 32 for b near 0; two thirds of it have steps of 1 / 43."""
    values = np.linspace(-1, 7, 64 * 64, dtype=np.float32)
    images = np.repeat(values.reshape(1, 1, 64, 64), BLOCK_SIZE, axis=1)
    net = nn.HybridSequential(prefix="")
    norm = nn.BatchNorm(in_channels=BLOCK_SIZE, prefix="norm_")
    image, first, second = (
        nn.Conv2D(BLOCK_SIZE, 1, use_bias=False, in_channels=BLOCK_SIZE, prefix=f"{name}_")
        for name in ("image", "first", "second")
    )
    net.add(image, first, norm, relu6(), second)
    net.initialize()
    for convolution in (image, first, second):
        convolution.weight.set_data(np.eye(BLOCK_SIZE)[:, :, None, None])
    norm.gamma.set_data(np.full(BLOCK_SIZE, values.std()))
    norm.beta.set_data(np.full(BLOCK_SIZE, values.mean()))
    with autograd.record():
        given = fused_block(net, [mx.cpu()], BLOCK_SIZE, "bfloat16")(mx.nd.array(images))
    expected = np.clip(images, 0, 6)
    assert np.abs(given.asnumpy() - expected).max() < 0.04
    assert len(np.unique(given.asnumpy()[(expected > 0) & (expected < 1.5)])) > 60


def test_what_is_in_bfloat16() -> None:
    symbol = symbol_of(MobileNetV2(0.5, 10, DIALECTS["paper"]))
    fused, _ = fuse_activations(pad_channels(symbol, BLOCK_SIZE), BLOCK_SIZE, "bfloat16")
    given = in_bfloat16(fused)
    assert given.list_inputs() == fused.list_inputs()
    nodes = json.loads(given.tojson(remove_amp_cast=False))["nodes"]
    types = {n["attrs"]["dtype"] for n in nodes if n["op"] == "amp_cast"}
    assert types == {"bfloat16", "float32"}
    convolutions = [node for node in nodes if node["op"] == "Convolution"]
    sources = [[nodes[i]["op"] for i, *_ in node["inputs"]] for node in convolutions]
    assert sources[0] == ["null", "null"]  # of the image
    assert all(weight == "amp_cast" for _, weight in sources[1:])
    (classifier,) = (node for node in nodes if node["op"] == "FullyConnected")
    assert nodes[classifier["inputs"][1][0]]["op"] == "null"


@pytest.mark.parametrize("limit", ["AVX2", "AVX512_CORE"])
def test_the_user_s_limit_of_instructions_counts(
    limit: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    facts = tmp_path / "cpuinfo"
    facts.write_text("flags : avx512f avx512_bf16 amx_bf16\n\n", encoding="utf-8")
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)
    assert has_bfloat16(facts)
    monkeypatch.setenv("DNNL_MAX_CPU_ISA", limit)
    assert not has_bfloat16(facts)
    assert not has_bfloat16(tmp_path / "absent")
