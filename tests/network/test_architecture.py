"""The network: parameter counts, shapes, and equality with an independent implementation."""

import math
import warnings

import mxnet as mx
import numpy as np
import pytest

from mobilenet.network.architecture import DIALECTS, MobileNetV2, make_divisible
from mobilenet.network.complexity import complexity
from mobilenet.network.graph_forms import symbol_of
from mobilenet.network.weights import rename_gluon

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # about the age of what it imports
    import gluoncv

COUNTS = [
    ("paper", 0.35, 1_677_128),
    ("paper", 0.5, 1_968_680),
    ("paper", 0.75, 2_636_424),
    ("paper", 1.0, 3_504_872),
    ("paper", 1.4, 6_108_776),
    ("gluoncv", 0.25, 1_516_312),
    ("gluoncv", 0.5, 1_964_448),
    ("gluoncv", 0.75, 2_626_968),
    ("gluoncv", 1.0, 3_503_872),
    ("origin", 0.5, 1_964_736),
    ("origin", 1.0, 3_504_960),
]


def network(width: float, dialect: str, classes: int = 1000) -> MobileNetV2:
    net = MobileNetV2(width, classes, DIALECTS[dialect])
    net.initialize(mx.init.Xavier())
    return net


def calibrate(net: mx.gluon.HybridBlock) -> None:
    """Makes the running statistics those of the one batch that moved them by a tenth.

    A fresh network's logits are about 1e-8 and prove nothing.
    """
    for name, parameter in net.collect_params().items():
        if name.endswith("running_mean"):
            parameter.set_data(parameter.data() * 10)
        elif name.endswith("running_var"):
            parameter.set_data((parameter.data() - 0.9) * 10)


@pytest.mark.parametrize(("dialect", "width", "count"), COUNTS)
def test_trainable_parameters(dialect: str, width: float, count: int) -> None:
    net = MobileNetV2(width, dialect=DIALECTS[dialect])
    trainable = [p for p in net.collect_params().values() if p.grad_req != "null"]
    assert sum(math.prod(p.shape) for p in trainable) == count
    assert complexity(symbol_of(net), 224).num_parameters == count


def test_multiply_adds_of_the_paper_at_224() -> None:
    assert complexity(symbol_of(network(1.0, "gluoncv")), 224).multiply_adds == 300_774_272


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (225, 225), (64, 160)])
def test_any_input_from_32_pixels(size: tuple[int, int]) -> None:
    net = network(0.35, "paper", classes=7)
    assert net(mx.nd.zeros((2, 3, *size))).shape == (2, 7)


@pytest.mark.parametrize("width", [0.01, 0.1, 0.33, 1.3, 2.0])
@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_any_width(width: float, dialect: str) -> None:
    assert network(width, dialect, classes=1)(mx.nd.zeros((1, 3, 32, 32))).shape == (1, 1)


@pytest.mark.parametrize(("width", "classes"), [(0.0, 10), (-1.0, 10), (1.0, 0)])
def test_impossible_sizes_are_named(width: float, classes: int) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        MobileNetV2(width, classes)


@pytest.mark.parametrize("width", ["1.0", "0.75", "0.5", "0.25"])
def test_equals_gluoncv_with_the_same_weights(width: str, tmp_path) -> None:
    other = gluoncv.model_zoo.get_model(f"mobilenetv2_{width}")
    other.initialize(mx.init.MSRAPrelu())
    data = mx.nd.array(np.random.default_rng(0).normal(size=(2, 3, 96, 96)))
    with mx.autograd.record():
        output = other(data)
    output.backward()  # the backward pass is what moves running statistics on CPUs
    calibrate(other)
    other.save_parameters(str(tmp_path / "theirs.params"))
    arrays = rename_gluon(mx.nd.load(str(tmp_path / "theirs.params")), tmp_path)
    ours = network(float(width), "gluoncv")
    for name, parameter in ours.collect_params().items():
        parameter.set_data(arrays[name])
    expected = other(data).asnumpy()
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(
        ours(data).asnumpy(), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max()
    )


def test_hybridized_equals_imperative() -> None:
    net = network(0.5, "paper")
    data = mx.nd.array(np.random.default_rng(1).normal(size=(2, 3, 64, 64)))
    plain = net(data).asnumpy()
    net.hybridize()
    np.testing.assert_allclose(net(data).asnumpy(), plain, rtol=1e-5, atol=1e-7)


def test_parameter_names_are_the_checkpoint_format() -> None:
    names = list(network(1.0, "paper").collect_params())
    assert names[0] == "stem_conv_weight"
    assert "stage1_block0_expand_conv_weight" not in names
    assert "stage2_block1_depthwise_norm_running_var" in names
    assert names[-2:] == ["classifier_weight", "classifier_bias"]
    assert len(names) == 262


@pytest.mark.parametrize("channels", range(1, 400, 3))
def test_rounding_is_to_eight_and_never_loses_ten_percent(channels: int) -> None:
    rounded = make_divisible(channels)
    assert rounded % 8 == 0
    assert rounded >= 0.9 * channels
    assert rounded - channels <= 8
