"""One step against Gluon's own Trainer, and the same batch in other parts against itself."""

from __future__ import annotations

from typing import Any

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon

from mobilenet.network.architecture import MobileNetV2, parameter_arrays
from mobilenet.network.graph_forms import training_block
from mobilenet.network.initialization import initialize
from mobilenet.training import mixup_cutmix
from mobilenet.training.optimizer import Momentum, Optimizer, WeightDecay
from mobilenet.training.step import Examples, Objective, TrainingStep

CLASSES, BATCH_SIZE = 5, 32
RATE, DECAY = 0.1, 0.01


def batch() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    images = random.standard_normal((BATCH_SIZE, 3, 32, 32)).astype(np.float32)
    return images, random.integers(0, CLASSES, BATCH_SIZE).astype(np.int32)


def network(devices: list[mx.Context], dropout: float = 0.0) -> MobileNetV2:
    made = MobileNetV2(0.1, CLASSES, dropout=dropout)
    initialize(made, devices, seed=0)
    return made


def use_running_statistics(made: MobileNetV2) -> None:
    """So that no image has an effect on another."""

    def freeze(block: gluon.Block) -> None:
        if isinstance(block, gluon.nn.BatchNorm):
            block._kwargs["use_global_stats"] = True

    made.apply(freeze)


def step_of(
    made: MobileNetV2, devices: list[mx.Context], accumulation: int = 1, **objective: Any
) -> TrainingStep:
    block = training_block(made, devices)
    objective_ = Objective(CLASSES, **objective)
    return TrainingStep(block, devices, objective_, optimizer_of(made), accumulation)


def optimizer_of(made: MobileNetV2) -> Optimizer:
    parameters = dict(made.collect_params().items())
    return Optimizer(parameters, Momentum(0.9, True), WeightDecay(DECAY))


def values(made: MobileNetV2) -> dict[str, np.ndarray]:
    return {name: array.asnumpy() for name, array in parameter_arrays(made).items()}


def test_a_step_is_that_of_gluon_s_trainer() -> None:
    ours, theirs = network([mx.cpu()]), network([mx.cpu()])
    images, labels = batch()
    step = TrainingStep(ours, [mx.cpu()], Objective(CLASSES), optimizer_of(ours))
    outcome = step(images, labels, 0, RATE).read()

    for name, parameter in theirs.collect_params().items():
        parameter.wd_mult = 1.0 if name.endswith("weight") else 0.0
    settings = {"learning_rate": RATE, "momentum": 0.9, "wd": DECAY}
    trainer = gluon.Trainer(theirs.collect_params(), "nag", settings)
    with autograd.record():
        logits = theirs(mx.nd.array(images))
        losses = gluon.loss.SoftmaxCrossEntropyLoss()(logits, mx.nd.array(labels))
    losses.backward()
    gradients = [p.grad() for p in theirs.collect_params().values() if p.grad_req != "null"]
    trainer.step(BATCH_SIZE)
    mx.nd.waitall()

    assert outcome.metrics.num_images == BATCH_SIZE
    assert outcome.metrics.loss == pytest.approx(losses.mean().asscalar(), rel=1e-5)
    hits = logits.asnumpy().argmax(axis=1) == labels
    assert outcome.metrics.num_correct == hits.sum()
    length = np.sqrt(sum(float((g**2).sum().asscalar()) for g in gradients)) / BATCH_SIZE
    assert outcome.gradient_norm == pytest.approx(length, rel=1e-4)
    for name, value in values(theirs).items():
        np.testing.assert_allclose(values(ours)[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("num_devices", "accumulation"), [(1, 4), (2, 1), (2, 2)], ids=["4 parts", "2 devices", "2x2"]
)
def test_a_batch_in_parts_is_the_same_batch(num_devices: int, accumulation: int) -> None:
    devices = [mx.cpu(i) for i in range(num_devices)]
    whole, parted = network([mx.cpu()]), network(devices)
    for made in (whole, parted):
        use_running_statistics(made)
    whole_step, parted_step = step_of(whole, [mx.cpu()]), step_of(parted, devices, accumulation)
    images, labels = batch()
    for step in range(2):  # the second finds gradients of the first
        expected = whole_step(images, labels, step, RATE).read()
        found = parted_step(images, labels, step, RATE).read()
        assert found.metrics.loss_sum == pytest.approx(expected.metrics.loss_sum, rel=1e-5)
        assert found.metrics.num_correct == expected.metrics.num_correct
        assert found.gradient_norm == pytest.approx(expected.gradient_norm, rel=1e-4)
    for name, value in values(whole).items():
        np.testing.assert_allclose(values(parted)[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


def test_dropout_is_a_function_of_seed_and_step() -> None:
    images, labels = batch()

    def losses(steps: list[int], seed: int = 0) -> list[float]:
        made = network([mx.cpu()], dropout=0.5)
        step = step_of(made, [mx.cpu()], seed=seed)
        return [step(images, labels, number, 0.0).read().metrics.loss_sum for number in steps]

    mx.random.seed(123)
    first, second, third = losses([0, 1, 2])
    mx.random.seed(456)
    assert losses([2, 0]) == [third, first]  # whatever came before
    assert len({first, second, third, *losses([0], seed=1)}) == 4


def test_blend_mixes_images_and_targets_alike() -> None:
    images, labels = batch()
    objective = Objective(CLASSES, label_smoothing=0.1, mixup=0.4, seed=5)
    examples = objective.blend(mx.nd.array(images), labels, step=3)
    solid = np.eye(CLASSES)[labels] * 0.9 + 0.1 / CLASSES
    # The blend is found from the images alone ...
    found = examples.images.asnumpy()
    mix = mixup_cutmix.draw((5, 2, 3), images.shape, 0.4, 0.0)
    assert mix is not None
    for i in range(BATCH_SIZE):
        other = mix.partner[i]
        expected = mix.own * images[i] + (1 - mix.own) * images[other]
        np.testing.assert_allclose(found[i], expected, rtol=1e-4, atol=1e-6)
        # ... and must be that of the targets.
        target = mix.own * solid[i] + (1 - mix.own) * solid[other]
        np.testing.assert_allclose(examples.targets.asnumpy()[i], target, rtol=1e-5)
    assert examples.labels.asnumpy().tolist() == labels.tolist()


def test_parts_are_equal_and_in_order() -> None:
    examples = Examples(mx.nd.arange(6), 10 * mx.nd.arange(6), mx.nd.arange(6))
    parts = list(examples.parts(3))
    assert [part.images.asnumpy().tolist() for part in parts] == [[0, 1], [2, 3], [4, 5]]
    assert parts[1].targets.asnumpy().tolist() == [20, 30]


def test_a_broken_image_is_seen() -> None:
    made = network([mx.cpu()])
    images, labels = batch()
    images[3, 0, 0, 0] = np.nan
    assert not step_of(made, [mx.cpu()])(images, labels, 0, RATE).read().is_finite


def test_each_rank_has_dropout_of_its_own_at_each_step() -> None:
    def kept(rank: int, step: int) -> list[float]:
        Objective(CLASSES, rank=rank).seed_dropout(step)
        with autograd.train_mode():
            return list(mx.nd.Dropout(mx.nd.ones(64)).asnumpy())

    assert kept(1, 3) == kept(1, 3)
    assert kept(0, 3) != kept(1, 3)
    assert kept(1, 3) != kept(1, 4)
