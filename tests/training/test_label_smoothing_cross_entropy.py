"""Cross-entropy and targets against NumPy written out in double precision."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mobilenet.errors import DataError
from mobilenet.training import label_smoothing_cross_entropy as loss

CLASSES = 7


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.fixture
def logits() -> np.ndarray:
    return 3 * np.random.default_rng(0).standard_normal((5, CLASSES))


LABELS = np.array([0, 6, 3, 3, 1], np.int32)


def test_cross_entropy_of_hard_labels(logits: np.ndarray) -> None:
    targets = loss.one_hot(LABELS, CLASSES)
    found = loss.cross_entropy(mx.nd.array(logits), mx.nd.array(targets)).asnumpy()
    expected = -np.log(softmax(logits)[np.arange(5), LABELS])
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_smoothing_leaves_the_label_its_share_of_the_rest() -> None:
    targets = loss.one_hot(LABELS, CLASSES, smoothing=0.1)
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
    assert targets[0, 0] == pytest.approx(0.9 + 0.1 / CLASSES)
    assert targets[0, 1] == pytest.approx(0.1 / CLASSES)


def test_mixed_targets_are_the_weighted_sum() -> None:
    targets = loss.one_hot(LABELS, CLASSES, smoothing=0.1)
    partner = np.array([1, 0, 4, 2, 3])
    found = loss.mixed(targets, partner, 0.7)
    for i in range(5):
        np.testing.assert_allclose(found[i], 0.7 * targets[i] + 0.3 * targets[partner[i]])


def test_gradient_is_softmax_minus_target(logits: np.ndarray) -> None:
    partner = np.array([1, 0, 4, 2, 3])
    targets = loss.mixed(loss.one_hot(LABELS, CLASSES, 0.1), partner, 0.7)
    x = mx.nd.array(logits)
    x.attach_grad()
    with autograd.record():
        total = loss.cross_entropy(x, mx.nd.array(targets)).sum()
    total.backward()
    np.testing.assert_allclose(x.grad.asnumpy(), softmax(logits) - targets, rtol=1e-5, atol=1e-6)


def test_half_precision_logits_give_a_float32_loss(logits: np.ndarray) -> None:
    targets = mx.nd.array(loss.one_hot(LABELS, CLASSES))
    half = loss.cross_entropy(mx.nd.array(logits).astype("float16"), targets)
    assert half.dtype == np.float32


def test_half_precision_counts_any_number_of_classes() -> None:
    labels = np.array([2049, 4097], np.int32)
    logits = np.zeros((2, 5000))
    logits[[0, 1], labels] = 1
    half = mx.nd.array(logits, dtype="float16")
    assert loss.num_correct(half, mx.nd.array(labels)).asscalar() == 2


def test_a_label_beyond_the_classes_is_refused_in_one_sentence() -> None:
    with pytest.raises(DataError, match=r"labels from 0 to 7, but the network has 7 classes"):
        loss.one_hot(np.array([0, 7], np.int32), CLASSES)
    with pytest.raises(DataError, match="labels from -1"):
        loss.one_hot(np.array([0, -1], np.int32), CLASSES)


def test_num_correct(logits: np.ndarray) -> None:
    labels = logits.argmax(axis=1).astype(np.int32)
    labels[2] = (labels[2] + 1) % CLASSES
    assert loss.num_correct(mx.nd.array(logits), mx.nd.array(labels)).asscalar() == 4
