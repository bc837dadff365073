"""BatchNorm that was folded into weights comes back, and the network computes the same."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mobilenet import settings
from mobilenet.data.batch_reader import Batch
from mobilenet.network.architecture import MobileNetV2, parameter_arrays
from mobilenet.network.batchnorm_unfolding import Arrays, folded_norms, moments, unfolded
from mobilenet.network.graph_forms import inference_block_of, symbol_of
from mobilenet.network.initialization import initialize
from mobilenet.network.untrained_statistics import calibrate
from mobilenet.network.weights import fit
from mobilenet.settings.schema import Config
from mobilenet.training import build as training_build

NUM_NORMS = 52
EPSILON = 1e-5


def images(num_images: int = 16) -> np.ndarray:
    random = np.random.default_rng(0)
    return (1 + 2 * random.standard_normal((num_images, 3, 64, 64))).astype(np.float32)


@pytest.fixture
def network() -> MobileNetV2:
    """A network with the statistics of `images`, every gamma and beta different."""
    made = MobileNetV2(0.1, 5)
    initialize(made, [mx.cpu()], seed=0)
    random = np.random.default_rng(1)
    for name, parameter in made.collect_params().items():
        if name.endswith(("gamma", "beta")):
            parameter.set_data(mx.nd.array(random.uniform(0.5, 1.5, parameter.shape)))
    calibrate(made, images())
    return made


def fold(made: MobileNetV2) -> dict[str, np.ndarray]:
    """The parameters of the same function with every BatchNorm in the convolution before it."""
    values = {name: array.asnumpy() for name, array in parameter_arrays(made).items()}
    for name in [name for name in values if name.endswith("norm_gamma")]:
        norm, conv = name[: -len("gamma")], name.replace("norm_gamma", "conv_weight")
        slope = values[name] / np.sqrt(values[f"{norm}running_var"] + EPSILON)
        values[conv] = values[conv] * slope[:, None, None, None]
        values[f"{norm}beta"] = values[f"{norm}beta"] - slope * values[f"{norm}running_mean"]
        values[name] = np.ones_like(slope)
        values[f"{norm}running_mean"] = np.zeros_like(slope)
        values[f"{norm}running_var"] = np.full_like(slope, 1 - EPSILON)
    return values


def arrays_of(values: dict[str, np.ndarray]) -> dict[str, mx.nd.NDArray]:
    return {name: mx.nd.array(value) for name, value in values.items()}


def restored(made: MobileNetV2, arrays: Arrays) -> dict[str, mx.nd.NDArray]:
    symbol = symbol_of(made)
    norms = folded_norms(symbol, arrays)
    assert len(norms) == NUM_NORMS
    block = inference_block_of(moments(symbol, norms), arrays, mx.cpu())
    outputs = (block(mx.nd.array(part)) for part in np.split(images(), [5, 8]))
    return {**arrays, **unfolded(norms, arrays, outputs)}


def test_unfolded_norms_normalise_and_compute_the_same(network: MobileNetV2) -> None:
    data = mx.nd.array(images())
    expected = network(data).asnumpy()
    folded = arrays_of(fold(network))
    fit(network, folded, Path())
    np.testing.assert_allclose(network(data).asnumpy(), expected, rtol=1e-3, atol=1e-5)
    with autograd.record():
        in_training = network(data).asnumpy()
    assert np.abs(in_training - expected).max() > 0.1 * np.abs(expected).max()

    fit(network, restored(network, folded), Path())
    np.testing.assert_allclose(network(data).asnumpy(), expected, rtol=1e-3, atol=1e-5)
    # The statistics are those of this batch, by which training normalises.
    with autograd.record():
        in_training = network(data).asnumpy()
    np.testing.assert_allclose(in_training, expected, rtol=1e-2, atol=1e-4)


def test_norms_with_statistics_are_left_alone(network: MobileNetV2) -> None:
    assert folded_norms(symbol_of(network), parameter_arrays(network)) == []


@pytest.mark.parametrize(("frozen", "num_unfolded"), [(0, NUM_NORMS), (3, NUM_NORMS - 9)])
def test_fine_tuning_unfolds_what_it_trains(
    network: MobileNetV2, tmp_path: Path, frozen: int, num_unfolded: int
) -> None:
    path = tmp_path / "folded.params"
    folded = arrays_of(fold(network))
    mx.nd.save(str(path), folded)
    text = f"""
        model: {{width_multiplier: 0.1, classes: 5}}
        data: {{resolution: 64}}
        training: {{batch_size: 16, initial_weights: {path}, frozen_stages: {frozen}}}
    """
    config = settings.loads(Config, text)
    learner = training_build.learner(config)

    def batches() -> Iterator[Batch]:
        while True:
            yield Batch(images(), np.zeros(16, np.int32), np.arange(16))

    initial = training_build.initial_weights(config, [mx.cpu()])
    assert initial is not None
    initial.load(learner, batches())
    assert learner.start.num_unfolded == num_unfolded
    found = {name: array.asnumpy() for name, array in learner.groups()["parameters"].items()}
    for name, array in folded.items():
        is_frozen = frozen and name.startswith(("stem", "stage1", "stage2"))
        is_given = is_frozen or name.startswith("classifier")
        assert (found[name] == array.asnumpy()).all() == bool(is_given), name
        if name.endswith("running_var") and not is_given:  # of channels that vary at all
            assert np.median(found[name]) == pytest.approx(1, rel=1e-3), name
