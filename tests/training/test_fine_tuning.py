"""Freezing and BatchNorm's statistics."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mobilenet.network import batchnorm_statistics, frozen_stages
from mobilenet.network.architecture import MobileNetV2, parameter_arrays
from mobilenet.network.graph_forms import training_block
from mobilenet.network.initialization import initialize


def network(devices: tuple[mx.Context, ...] = (mx.cpu(),)) -> MobileNetV2:
    made = MobileNetV2(0.1, 5)
    initialize(made, list(devices), seed=0)
    return made


def images(seed: int, num_images: int = 8) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (2 + random.standard_normal((num_images, 3, 32, 32))).astype(np.float32)


def values(made: MobileNetV2) -> dict[str, np.ndarray]:
    return {name: array.asnumpy() for name, array in parameter_arrays(made).items()}


@pytest.mark.parametrize("num_parts", [0, 1, 4, 9])
def test_frozen_parts_have_no_gradient_and_keep_their_statistics(num_parts: int) -> None:
    made = network()
    frozen_stages.freeze(made, num_parts)
    block = training_block(made, [mx.cpu()])
    before = values(made)
    with autograd.record():
        loss = block(mx.nd.array(images(0))).sum()
    loss.backward()
    mx.nd.waitall()
    frozen = [f"{part}_" for part in ("stem", *(f"stage{i}" for i in range(1, 8)), "head")]
    for name, parameter in made.collect_params().items():
        is_frozen = name.startswith(tuple(frozen[:num_parts]))
        if "running" in name:
            has_changed = (parameter.data().asnumpy() != before[name]).any()
            assert has_changed != is_frozen, name
        else:
            assert (parameter.grad_req == "null") == is_frozen, name


def test_frozen_parts_compute_as_in_inference() -> None:
    made = network()
    frozen_stages.freeze(made, 9)
    block = training_block(made, [mx.cpu()])
    data = mx.nd.array(images(0))
    inferred = block(data).asnumpy()
    with autograd.record():
        trained = block(data).asnumpy()
    np.testing.assert_allclose(trained, inferred, rtol=1e-4, atol=1e-6)


def test_parts_are_the_whole_network_but_the_classifier() -> None:
    parts = {name.split("_")[0] for name in values(network())}
    assert parts == {*frozen_stages.PARTS, "classifier"}


def test_recalibrated_statistics_are_means_over_the_batches() -> None:
    made = network()
    batches = [images(seed) for seed in range(3)]
    batchnorm_statistics.forget_history(made)
    found = batchnorm_statistics.recalibrated(made, training_block(made, [mx.cpu()]), batches)
    weight = made.collect_params()["stem_conv_weight"].data()
    outputs = [
        mx.nd.Convolution(
            mx.nd.array(batch),
            weight,
            kernel=(3, 3),
            stride=(2, 2),
            pad=(1, 1),
            num_filter=weight.shape[0],
            no_bias=True,
        ).asnumpy()
        for batch in batches
    ]
    means = np.mean([output.mean(axis=(0, 2, 3)) for output in outputs], axis=0)
    variances = np.mean([output.var(axis=(0, 2, 3)) for output in outputs], axis=0)
    np.testing.assert_allclose(found["stem_norm_running_mean"].asnumpy(), means, rtol=1e-4)
    np.testing.assert_allclose(found["stem_norm_running_var"].asnumpy(), variances, rtol=1e-4)
    assert set(found) == {name for name in values(made) if "running" in name}


def test_devices_agree_on_the_mean_of_their_statistics() -> None:
    devices = (mx.cpu(0), mx.cpu(1))
    made = network(devices)
    block = training_block(made, devices)
    for seed, device in enumerate(devices):
        with autograd.record():
            loss = block(mx.nd.array(images(seed), ctx=device)).sum()
        loss.backward()
    mx.nd.waitall()
    mean = made.collect_params()["stem_norm_running_mean"]
    first, second = (array.asnumpy() for array in mean.list_data())
    assert (first != second).all()
    batchnorm_statistics.synchronize(made)
    for array in mean.list_data():
        np.testing.assert_allclose(array.asnumpy(), (first + second) / 2, rtol=1e-6)
