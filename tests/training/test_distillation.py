"""The loss of distillation against NumPy in float64 and finite differences, and in a step."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon

from mobilenet.training.distillation import Distillation
from mobilenet.training.label_smoothing_cross_entropy import one_hot
from mobilenet.training.optimizer import Momentum, Optimizer, WeightDecay
from mobilenet.training.step import Objective, TrainingStep

CLASSES, BATCH_SIZE = 5, 8
KINDS = [(0.9, 1.0), (0.5, 4.0), (1.0, 2.0), (0.3, 0.5)]


def drawn(seed: int, shape: tuple[int, ...] = (BATCH_SIZE, CLASSES)) -> np.ndarray:
    return (3 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def labels() -> np.ndarray:
    return np.random.default_rng(9).integers(0, CLASSES, BATCH_SIZE).astype(np.int32)


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def expected(
    logits: np.ndarray, targets: np.ndarray, answers: np.ndarray, weight: float, t: float
) -> np.ndarray:
    """Hinton's loss as he writes it, of each image, in the precision of its arguments."""
    teacher, student = softmax(answers / t), softmax(logits / t)
    divergence = (teacher * (np.log(teacher) - np.log(student))).sum(axis=1)
    hard = -(targets * np.log(softmax(logits))).sum(axis=1)
    return weight * t * t * divergence + (1 - weight) * hard


def losses_and_gradient(
    distillation: Distillation, logits: np.ndarray, targets: np.ndarray, answers: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    variable = mx.nd.array(logits, dtype=logits.dtype)
    variable.attach_grad()
    taught = mx.nd.array(distillation.targets(answers))
    with autograd.record():
        losses = distillation.loss(variable, mx.nd.array(targets), taught)
        total = losses.sum()
    total.backward()
    return losses.asnumpy(), variable.grad.asnumpy()


@pytest.mark.parametrize(("weight", "temperature"), KINDS)
def test_loss_and_gradient(weight: float, temperature: float) -> None:
    logits, answers, targets = drawn(0), drawn(1), one_hot(labels(), CLASSES, 0.1)
    distillation = Distillation(weight, temperature)
    losses, gradient = losses_and_gradient(distillation, logits, targets, answers)
    exact = [array.astype(np.float64) for array in (logits, targets, answers)]
    np.testing.assert_allclose(
        losses, expected(*exact, weight, temperature), rtol=2e-5, atol=2e-6 * temperature**2
    )
    differences, width = np.zeros(logits.shape), 1e-5
    for place in np.ndindex(*logits.shape):
        moved = np.zeros(logits.shape)
        moved[place] = width
        above, below = (
            expected(exact[0] + sign * moved, *exact[1:], weight, temperature).sum()
            for sign in (1, -1)
        )
        differences[place] = (above - below) / (2 * width)
    np.testing.assert_allclose(gradient, differences, atol=5e-6 * max(1, temperature))


def test_a_teacher_that_agrees_costs_nothing() -> None:
    logits = drawn(0)
    targets = one_hot(labels(), CLASSES)
    losses, gradient = losses_and_gradient(Distillation(1.0, 3.0), logits, targets, logits)
    np.testing.assert_allclose(losses, 0, atol=5e-5)
    np.testing.assert_allclose(gradient, 0, atol=5e-6)


def test_weight_1_leaves_the_labels_out() -> None:
    logits, answers = drawn(0), drawn(1)
    (one, _), (other, _) = (
        losses_and_gradient(Distillation(1.0), logits, one_hot(given, CLASSES), answers)
        for given in (labels(), (labels() + 1) % CLASSES)
    )
    np.testing.assert_array_equal(one, other)


def test_probabilities_of_0_and_logits_in_half_precision() -> None:
    answers = np.array([[0, 500, -500], [80, -80, 0]], np.float32)
    logits = np.array([[40, -40, 0], [1, 2, 3]], np.float16)
    targets = one_hot(np.array([0, 1], np.int32), 3)
    losses, gradient = losses_and_gradient(Distillation(0.5), logits, targets, answers)
    assert losses.dtype == np.float32
    np.testing.assert_allclose(losses[0], 0.5 * 80 + 0.5 * 0, rtol=1e-6)
    assert np.isfinite(gradient).all()


def trained(
    devices: list[mx.Context], accumulation: int, answers: np.ndarray
) -> tuple[float, dict[str, np.ndarray]]:
    """The loss of a step of a linear classifier, and its parameters after that."""
    block = gluon.nn.Dense(CLASSES, in_units=3 * 8 * 8)
    mx.random.seed(0)
    block.initialize(mx.init.Normal(0.1), devices)
    parameters = {name.rpartition("_")[2]: array for name, array in block.collect_params().items()}
    optimizer = Optimizer(parameters, Momentum(0.9, True), WeightDecay(0.0))
    objective = Objective(CLASSES, 0.1, mixup=0.4, distillation=Distillation(0.7, 2.0))
    step = TrainingStep(block, devices, objective, optimizer, accumulation)
    images = drawn(2, (BATCH_SIZE, 3, 8, 8)) / 3
    outcome = step(images, labels(), 0, 0.1, answers).read()
    arrays = {name: array.data(devices[0]).asnumpy() for name, array in parameters.items()}
    return outcome.metrics.loss_sum, arrays


@pytest.mark.parametrize(("num_devices", "accumulation"), [(2, 1), (1, 2), (2, 2)])
def test_each_part_of_a_batch_has_its_own_answers(num_devices: int, accumulation: int) -> None:
    answers = drawn(1)
    whole, arrays = trained([mx.cpu()], 1, answers)
    devices = [mx.cpu(number) for number in range(num_devices)]
    parted, others = trained(devices, accumulation, answers)
    assert parted == pytest.approx(whole, rel=1e-5)
    for name, array in arrays.items():
        np.testing.assert_allclose(others[name], array, atol=2e-5, err_msg=name)
    _, shifted = trained([mx.cpu()], 1, np.roll(answers, 1, axis=0))
    moved = np.abs(shifted["weight"] - arrays["weight"]).max()
    assert moved > 1e-3, "the answers of other images would have done as well"
