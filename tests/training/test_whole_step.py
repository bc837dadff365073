"""Whole training steps against the same written out in NumPy: network, loss, decay, update."""

from __future__ import annotations

from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from numpy_network import Network, Update, Values

from mobilenet import settings
from mobilenet.data.batch_reader import Batch
from mobilenet.network.architecture import MobileNetV2
from mobilenet.network.initialization import initial_value
from mobilenet.settings.schema import Config
from mobilenet.training import build as training_build
from mobilenet.training.learner import Learner

BATCH_SIZE, CLASSES, SMOOTHING = 16, 5, 0.1
RATE, MOMENTUM, DECAY = 0.002, 0.9, 0.02


def batch(step: int) -> Batch:
    random = np.random.default_rng(step)
    images = random.standard_normal((BATCH_SIZE, 3, 64, 64)).astype(np.float32)
    labels = random.integers(0, CLASSES, BATCH_SIZE).astype(np.int32)
    return Batch(images, labels, np.arange(BATCH_SIZE))


def targets(labels: np.ndarray) -> np.ndarray:
    rows = np.full((BATCH_SIZE, CLASSES), SMOOTHING / CLASSES)
    rows[np.arange(BATCH_SIZE), labels] += 1 - SMOOTHING
    return rows


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights by which each channel lies below, within or above the bends of ReLU6.

    At a bend the gradient jumps, so that a value there would show a difference of rounding as a
    large one.
    """
    random = np.random.default_rng(7)
    arrays = {}
    for name, parameter in MobileNetV2(0.1, CLASSES).collect_params().items():
        value = initial_value(name, parameter.shape, 0)
        if name.endswith("beta") and "project" not in name:
            value = random.choice([-3.0, 3.0, 9.0], parameter.shape, p=[0.15, 0.7, 0.15])
        elif name.endswith("gamma"):
            value = random.uniform(0.3, 0.5, parameter.shape)
        elif name.endswith("running_mean"):
            value = value + 0.1  # as after training
        arrays[name] = mx.nd.array(value)
    path = tmp_path / "initial.params"
    mx.nd.save(str(path), arrays)
    return path


def parameters(learner: Learner) -> Values:
    arrays = learner.groups()["parameters"].items()
    return {n: a.asnumpy().astype(np.float64) for n, a in arrays if "running" not in n}


@pytest.mark.parametrize("name", ["nag", "sgd", "rmsprop"])
def test_three_steps(name: str, weights: Path) -> None:
    text = f"""
        model: {{width_multiplier: 0.1, classes: {CLASSES}}}
        data: {{resolution: 64}}
        optimizer: {{name: {name}, momentum: {MOMENTUM}, weight_decay: {DECAY}}}
        training:
          {{batch_size: {BATCH_SIZE}, label_smoothing: {SMOOTHING}, initial_weights: {weights}}}
    """
    config = settings.loads(Config, text)
    learner = training_build.learner(config)
    initial = training_build.initial_weights(config, [mx.cpu()])
    assert initial is not None
    initial.load(learner, ())
    before = parameters(learner)
    network, update = Network(dict(before)), Update(name, MOMENTUM, DECAY)
    for step in range(3):
        found = learner.step(batch(step), step, RATE).read()
        loss = network.loss(batch(step).data.astype(np.float64), targets(batch(step).labels))
        length = norm(list(network.gradients.values()))
        update(network.values, network.gradients, RATE)
        assert found.metrics.loss == pytest.approx(loss, rel=1e-5)
        assert found.gradient_norm == pytest.approx(length, rel=1e-4)
    after = parameters(learner)
    assert after.keys() == network.values.keys()
    for key, expected in network.values.items():
        size = max(np.abs(expected).max(), 0.01)
        np.testing.assert_allclose(after[key], expected, rtol=0, atol=1e-4 * size, err_msg=key)
    # The changes themselves, which are much smaller than the parameters.
    errors = [after[key] - expected for key, expected in network.values.items()]
    changes = [expected - before[key] for key, expected in network.values.items()]
    assert norm(errors) < 1e-3 * norm(changes)


def norm(arrays: list[np.ndarray]) -> float:
    return float(np.sqrt(sum((array**2).sum() for array in arrays)))
