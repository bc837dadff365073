"""Parameters from files: what is read, renamed, fitted and refused."""

import os
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from mobilenet.errors import WeightsError
from mobilenet.network.architecture import DIALECTS, MobileNetV2, parameter_arrays
from mobilenet.network.weights import fit, read_parameters


def network(width: float = 0.35, classes: int = 5) -> MobileNetV2:
    net = MobileNetV2(width, classes)
    net.initialize()
    return net


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "own.params"
    mx.nd.save(str(path), parameter_arrays(network()))
    return path


def test_a_path_may_have_any_bytes(saved: Path) -> None:
    path = saved.with_name(os.fsdecode(b"d\xe9.params"))
    saved.rename(path)
    assert read_parameters(path).keys() == parameter_arrays(network()).keys()


def test_own_names_come_back(saved: Path) -> None:
    net = network()
    arrays = read_parameters(saved)
    arrays["classifier_bias"][:] = 3
    fit(net, arrays, saved)
    np.testing.assert_array_equal(net.collect_params()["classifier_bias"].data().asnumpy(), [3] * 5)


@pytest.mark.parametrize(
    ("width", "classes", "what"),
    [
        (0.5, 5, "stage2_block0_project_conv_weight is (8, 48, 1, 1) instead of (16, 48, 1, 1)"),
        (0.35, 6, "classifier_weight is (5, 1280) instead of"),
    ],
)
def test_another_network_is_refused_by_name(
    saved: Path, width: float, classes: int, what: str
) -> None:
    net = network(width, classes)
    before = {name: array.asnumpy() for name, array in parameter_arrays(net).items()}
    with pytest.raises(WeightsError) as refused:
        fit(net, read_parameters(saved), saved)
    assert str(saved) in str(refused.value)
    assert what in str(refused.value)
    assert "of another shape" in str(refused.value)
    for name, array in parameter_arrays(net).items():
        np.testing.assert_array_equal(array.asnumpy(), before[name])


def test_missing_and_left_over_are_both_listed(saved: Path) -> None:
    arrays = read_parameters(saved)
    arrays["extra"] = arrays.pop("classifier_bias")
    with pytest.raises(WeightsError, match="missing: classifier_bias; left over: extra"):
        fit(network(), arrays, saved)


@pytest.mark.parametrize("content", [b"", b"text", b"\x12\x01\0\0\0\0\0\0", bytes(64)])
def test_what_is_no_file_of_parameters(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.params"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"bad\.params"):
        read_parameters(path)


def test_sparse_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.params"
    mx.nd.save(str(path), {"a": mx.nd.ones((2, 2)), "b": mx.nd.ones((2, 2)).tostype("row_sparse")})
    with pytest.raises(WeightsError, match="only dense arrays are read, and it has sparse ones"):
        read_parameters(path)


def test_every_truncation_is_refused(saved: Path) -> None:
    content = saved.read_bytes()
    random = np.random.default_rng(0)
    for length in random.integers(0, len(content), 30):
        saved.write_bytes(content[:length])
        with pytest.raises(WeightsError, match=r"own\.params"):
            read_parameters(saved)


@pytest.mark.shared_data
def test_published_weights_give_their_published_logits(shared: Path) -> None:
    folder = shared / "weights"
    net = MobileNetV2(1.0, 1000, DIALECTS["gluoncv"])
    net.initialize()
    path = folder / "mobilenetv2_1.0-imagenet.params"
    fit(net, read_parameters(path), path)
    with np.load(folder / "mobilenetv2_1.0-imagenet-check.npz") as check:
        logits = net(mx.nd.array(check["data"])).asnumpy()
        assert np.abs(logits - check["logits"]).max() < 1e-3
