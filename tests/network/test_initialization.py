"""Initial weights: the published variances, and nothing but seed and name decides."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from mobilenet.network.architecture import MobileNetV2, parameter_arrays
from mobilenet.network.initialization import initial_value, initialize


def test_variances() -> None:
    network = MobileNetV2(1.0, 1000)
    initialize(network, [mx.cpu()], seed=3)
    for name, array in parameter_arrays(network).items():
        values = array.asnumpy().astype(np.float64)
        if name.endswith("conv_weight"):
            out_channels, _, height, width = values.shape
            expected = np.sqrt(2 / (height * width * out_channels))
            assert values.std() == pytest.approx(expected, rel=5 / np.sqrt(2 * values.size)), name
        elif name == "classifier_weight":
            assert values.std() == pytest.approx(0.01, rel=0.01)
        else:
            constant = 1 if name.endswith(("gamma", "running_var")) else 0
            assert (values == constant).all(), name


@pytest.mark.parametrize("shape", [(320, 160, 1, 1), (960, 1, 3, 3), (1000, 1280)])
def test_msra_prelu_is_mxnet_s(shape: tuple[int, ...]) -> None:
    theirs = mx.nd.zeros(shape)
    mx.random.seed(0)
    mx.init.MSRAPrelu()(mx.init.InitDesc("layer_weight"), theirs)
    ours = initial_value("layer_weight", shape, 0, "msra-prelu")
    assert ours.std() == pytest.approx(theirs.asnumpy().std(), rel=0.03)
    assert ours.mean() == pytest.approx(0, abs=4 * ours.std() / np.sqrt(ours.size))


def test_values_depend_on_seed_and_name_alone() -> None:
    shape = (8, 4, 3, 3)
    value = initial_value("stem_conv_weight", shape, 0)
    assert (value == initial_value("stem_conv_weight", shape, 0)).all()
    assert (value != initial_value("stem_conv_weight", shape, 1)).all()
    assert (value != initial_value("head_conv_weight", shape, 0)).all()


def test_values_are_the_same_everywhere() -> None:
    """NumPy promises the stream of its bit generators, and so far that of its normals."""
    value = initial_value("stem_conv_weight", (32, 3, 3, 3), 0).ravel()[:3]
    np.testing.assert_allclose(value, GOLDEN, rtol=1e-6)


GOLDEN = [-0.07451801, 0.079911433, -0.050647482]


def test_mxnet_s_own_seed_plays_no_part() -> None:
    networks = []
    for seed in (1, 2):
        mx.random.seed(seed)
        networks.append(MobileNetV2(0.25, 10))
        initialize(networks[-1], [mx.cpu(0), mx.cpu(1)], seed=0)
    first, second = map(parameter_arrays, networks)
    for name, array in first.items():
        assert (array.asnumpy() == second[name].asnumpy()).all(), name
