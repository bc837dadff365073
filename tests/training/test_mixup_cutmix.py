"""Mixup and CutMix against NumPy written out, and their draws against the distributions."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest

from mobilenet.training import mixup_cutmix
from mobilenet.training.mixup_cutmix import Box, Mix

SHAPE = (6, 3, 10, 14)


def images(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32)


def test_nothing_is_drawn_without_alphas() -> None:
    assert mixup_cutmix.draw((0, 1), SHAPE, mixup=0.0, cutmix=0.0) is None


def test_draw_is_a_function_of_its_key() -> None:
    first, again, other = (
        mixup_cutmix.draw((7, step), SHAPE, mixup=0.2, cutmix=1.0) for step in (1, 1, 2)
    )
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.own == again.own
    assert first.partner.tolist() == again.partner.tolist()
    assert first.own != other.own


def test_mixup_is_the_weighted_sum() -> None:
    data, partner = images(), np.array([3, 2, 5, 0, 4, 1])
    blended = mixup_cutmix.apply(Mix(partner, 0.3, None), mx.nd.array(data)).asnumpy()
    for i in range(len(data)):
        np.testing.assert_allclose(blended[i], 0.3 * data[i] + 0.7 * data[partner[i]], rtol=1e-6)


def test_cutmix_pastes_the_box_and_nothing_else() -> None:
    data, partner = images(), np.array([3, 2, 5, 0, 4, 1])
    source = mx.nd.array(data)
    blended = mixup_cutmix.apply(Mix(partner, 0.5, Box(2, 7, 4, 14)), source).asnumpy()
    expected = data.copy()
    for i in range(len(data)):
        for row in range(2, 7):
            for column in range(4, 14):
                expected[i, :, row, column] = data[partner[i], :, row, column]
    np.testing.assert_array_equal(blended, expected)
    np.testing.assert_array_equal(source.asnumpy(), data)


def test_cutmix_of_an_empty_box_changes_nothing() -> None:
    data = images()
    mix = Mix(np.arange(6)[::-1].copy(), 1.0, Box(3, 3, 0, 5))
    np.testing.assert_array_equal(mixup_cutmix.apply(mix, mx.nd.array(data)).asnumpy(), data)


def test_cutmix_targets_are_the_area_that_was_kept() -> None:
    boxes = 0
    for step in range(300):
        mix = mixup_cutmix.draw((0, step), SHAPE, mixup=0.0, cutmix=1.0)
        assert mix is not None
        assert mix.box is not None
        kept = np.ones(SHAPE[2:], bool)
        kept[mix.box.top : mix.box.bottom, mix.box.left : mix.box.right] = False
        assert mix.own == pytest.approx(kept.mean())
        boxes += mix.own < 1
    assert boxes > 250


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_mixup_weights_follow_the_beta_distribution(alpha: float) -> None:
    draws = [mixup_cutmix.draw((5, step), (2, 1, 4, 4), alpha, 0.0) for step in range(4000)]
    weights = np.array([mix.own for mix in draws if mix is not None])
    variance = 1 / (4 * (2 * alpha + 1))  # of Beta(alpha, alpha), whose mean is 1/2
    error = np.sqrt(variance / len(weights))
    assert abs(weights.mean() - 0.5) < 4 * error
    assert weights.var() == pytest.approx(variance, rel=0.08)


def test_both_are_used_equally_often() -> None:
    draws = [mixup_cutmix.draw((9, step), SHAPE, 0.2, 1.0) for step in range(2000)]
    num_boxes = sum(mix is not None and mix.box is not None for mix in draws)
    assert abs(num_boxes - 1000) < 4 * np.sqrt(500)


def test_partners_are_a_permutation() -> None:
    mix = mixup_cutmix.draw((1, 2), (64, 3, 8, 8), 0.2, 0.0)
    assert mix is not None
    assert sorted(mix.partner.tolist()) == list(range(64))
    assert mix.partner.tolist() != list(range(64))
