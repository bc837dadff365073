"""The moving average against its recursion written out."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from mobilenet.training.ema import MovingAverage


def test_average_follows_the_recursion_with_its_early_decay() -> None:
    random = np.random.default_rng(0)
    live = mx.nd.array(random.standard_normal(4))
    average = MovingAverage({"w": live}, decay=0.9)
    expected = live.asnumpy().astype(np.float64)
    for num_updates in range(200):
        live[:] = random.standard_normal(4)
        average.update(num_updates, mx.nd.array([7.5]))
        # tf.train.ExponentialMovingAverage with num_updates
        decay = min(0.9, (1 + num_updates) / (10 + num_updates))
        expected = decay * expected + (1 - decay) * live.asnumpy()
    np.testing.assert_allclose(average.averages["w"].asnumpy(), expected, rtol=1e-5, atol=1e-6)


def test_all_of_many_arrays_are_averaged() -> None:
    live = {f"w{i}": mx.nd.full((1 + i % 3, 2), i) for i in range(130)}
    average = MovingAverage(live, decay=0.05)
    for array in live.values():
        array[:] = array + 1
    average.update(0, mx.nd.ones((1,)))
    for i in range(130):
        values = average.averages[f"w{i}"].asnumpy()
        np.testing.assert_allclose(values, np.full((1 + i % 3, 2), i + 0.95), rtol=1e-6)


def test_average_starts_as_a_copy() -> None:
    live = mx.nd.ones((3,))
    average = MovingAverage({"w": live}, decay=0.99)
    live[:] = 5
    assert average.averages["w"].asnumpy().tolist() == [1, 1, 1]


def test_restored_average_continues_exactly() -> None:
    live = mx.nd.ones((3,))
    first, second = MovingAverage({"w": live}, 0.99), MovingAverage({"w": live}, 0.99)
    live[:] = 2
    first.update(0, mx.nd.ones((1,)))
    second.restore({"w": first.averages["w"].copy()})
    live[:] = 3
    for average in (first, second):
        average.update(1, mx.nd.ones((1,)))
    assert first.averages["w"].asnumpy().tolist() == second.averages["w"].asnumpy().tolist()
    assert second.averages["w"].asnumpy()[0] != pytest.approx(3)
