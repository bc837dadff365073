"""Optimizers against updates written out in NumPy, in double precision."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
from mxnet import gluon

from mobilenet.training.optimizer import Momentum, Optimizer, RMSProp, Rule, WeightDecay, norm

SHAPES = {
    "stem_conv_weight": (4, 3, 3, 3),
    "stem_norm_gamma": (4,),
    "stage1_block0_depthwise_conv_weight": (4, 1, 3, 3),
    "classifier_bias": (5,),
}
NUM_IMAGES = 8
RATES = (0.1, 0.05, 0.02)

Values = dict[str, np.ndarray]


def parameters(
    devices: tuple[mx.Context, ...] = (mx.cpu(),), dtype: str = "float32"
) -> dict[str, gluon.Parameter]:
    random = np.random.default_rng(0)
    made = {}
    for name, shape in SHAPES.items():
        own = "float32" if "norm" in name else dtype  # as Gluon casts a network
        parameter = gluon.Parameter(name, shape=shape, dtype=own)
        parameter.initialize(ctx=list(devices))
        parameter.set_data(mx.nd.array(random.standard_normal(shape), dtype=own))
        made[name] = parameter
    return made


def gradients(step: int, device: int = 0) -> Values:
    random = np.random.default_rng((1, step, device))
    return {name: 8 * random.standard_normal(shape) for name, shape in SHAPES.items()}


def give(made: dict[str, gluon.Parameter], step: int) -> None:
    for name, parameter in made.items():
        for device, gradient in enumerate(parameter.list_grad()):
            gradient[:] = gradients(step, device)[name]


def run(optimizer: Optimizer, made: dict[str, gluon.Parameter], first: int = 0) -> list[float]:
    norms = []
    for step, rate in list(enumerate(RATES))[first:]:
        give(made, step)
        norms.append(float(optimizer.step(rate, NUM_IMAGES).asscalar()))
    return norms


def values(made: dict[str, gluon.Parameter]) -> Values:
    return {name: p.list_data()[0].asnumpy().astype(np.float64) for name, p in made.items()}


def momentum_by_hand(nesterov: bool, momentum: float, decays: dict[str, float]) -> Values:
    weights = values(parameters())
    velocities = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    for step, rate in enumerate(RATES):
        for name, weight in weights.items():
            mean = gradients(step)[name] / NUM_IMAGES
            change = rate * (mean + decays[name] * weight)
            velocity = momentum * velocities[name] - change
            weights[name] = weight + (momentum * velocity - change if nesterov else velocity)
            # MXNet's operator for Nesterov works in place and decays with the new weight here.
            decayed = weights[name] if nesterov else weight
            velocities[name] = momentum * velocities[name] - rate * (mean + decays[name] * decayed)
    return weights


def rmsprop_by_hand(rule: RMSProp, decays: dict[str, float]) -> Values:
    """As tf.train.RMSPropOptimizer documents it."""
    weights = values(parameters())
    mean_squares = {name: np.ones(shape) for name, shape in SHAPES.items()}
    velocities = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    for step, rate in enumerate(RATES):
        for name, weight in weights.items():
            gradient = gradients(step)[name] / NUM_IMAGES + decays[name] * weight
            mean_squares[name] = rule.decay * mean_squares[name] + (1 - rule.decay) * gradient**2
            scaled = rate * gradient / np.sqrt(mean_squares[name] + rule.epsilon)
            velocities[name] = rule.momentum * velocities[name] + scaled
            weights[name] = weight - velocities[name]
    return weights


DECAYS = {name: 0.01 if len(shape) > 1 else 0.0 for name, shape in SHAPES.items()}


def assert_equal(found: Values, expected: Values) -> None:
    for name in SHAPES:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_momentum(nesterov: bool, momentum: float) -> None:
    made = parameters()
    run(Optimizer(made, Momentum(momentum, nesterov), WeightDecay(0.01)), made)
    assert_equal(values(made), momentum_by_hand(nesterov, momentum, DECAYS))


@pytest.mark.parametrize("rule", [RMSProp(0.9, 0.9, 1.0), RMSProp(0.9, 0.95, 1e-3)])
def test_rmsprop(rule: RMSProp) -> None:
    made = parameters()
    run(Optimizer(made, rule, WeightDecay(0.01)), made)
    assert_equal(values(made), rmsprop_by_hand(rule, DECAYS))


@pytest.mark.parametrize(("name", "nesterov"), [("nag", True), ("sgd", False)])
def test_momentum_is_mxnet_s_own(name: str, nesterov: bool) -> None:
    """Through mx.optimizer, which is told the rate and the scale of the gradient."""
    ours, theirs = parameters(), parameters()
    run(Optimizer(ours, Momentum(0.9, nesterov), WeightDecay(0.0)), ours)
    reference = mx.optimizer.create(name, momentum=0.9, wd=0.0, rescale_grad=1 / NUM_IMAGES)
    update = mx.optimizer.get_updater(reference)
    for step, rate in enumerate(RATES):
        give(theirs, step)
        reference.set_learning_rate(rate)
        for index, parameter in enumerate(theirs.values()):
            update(index, parameter.grad(), parameter.data())
    assert_equal(values(ours), values(theirs))


def test_weight_decay_by_role() -> None:
    def of(**options: bool) -> list[float]:
        decay = WeightDecay(0.5, **options)
        return [decay.of(name, shape) for name, shape in SHAPES.items()]

    assert of() == [0.5, 0.0, 0.5, 0.0]
    assert of(norm_and_bias=True) == [0.5, 0.5, 0.5, 0.5]
    assert of(depthwise=False) == [0.5, 0.0, 0.0, 0.0]


def test_clipping_scales_the_whole_gradient() -> None:
    clipped, by_hand = parameters(), parameters()
    found = run(Optimizer(clipped, Momentum(0.0, False), WeightDecay(0.0), clip_norm=3.0), clipped)
    weights = values(by_hand)
    for step, rate in enumerate(RATES):
        mean = {name: g / NUM_IMAGES for name, g in gradients(step).items()}
        length = np.sqrt(sum((g**2).sum() for g in mean.values()))
        assert length > 3
        assert found[step] == pytest.approx(length, rel=1e-5)
        for name in weights:
            weights[name] -= rate * mean[name] * 3.0 / length
    assert_equal(values(clipped), weights)


def test_short_gradients_are_not_clipped() -> None:
    clipped, free = parameters(), parameters()
    run(Optimizer(clipped, Momentum(0.9, True), WeightDecay(0.0), clip_norm=1e6), clipped)
    run(Optimizer(free, Momentum(0.9, True), WeightDecay(0.0)), free)
    for name in SHAPES:
        np.testing.assert_array_equal(values(clipped)[name], values(free)[name])


def test_devices_sum_their_gradients_and_stay_equal() -> None:
    devices = (mx.cpu(0), mx.cpu(1))
    made = parameters(devices)
    run(Optimizer(made, Momentum(0.9, True), WeightDecay(0.0), clip_norm=2.0), made)
    single = parameters()
    optimizer = Optimizer(single, Momentum(0.9, True), WeightDecay(0.0), clip_norm=2.0)
    for step, rate in enumerate(RATES):
        for name, parameter in single.items():
            parameter.grad()[:] = gradients(step, 0)[name] + gradients(step, 1)[name]
        optimizer.step(rate, NUM_IMAGES)
    assert_equal(values(made), values(single))
    for parameter in made.values():
        first, second = (array.asnumpy() for array in parameter.list_data())
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("rule", [Momentum(0.9, True), RMSProp(0.9, 0.9, 1.0)])
def test_restored_state_continues_exactly(rule: Rule) -> None:
    whole = parameters()
    run(Optimizer(whole, rule, WeightDecay(0.01)), whole)

    first = parameters()
    optimizer = Optimizer(first, rule, WeightDecay(0.01))
    give(first, 0)
    optimizer.step(RATES[0], NUM_IMAGES)
    saved = {name: array.copy() for name, array in optimizer.state().items()}

    second = parameters()
    for name, parameter in second.items():
        parameter.set_data(first[name].data())
    continued = Optimizer(second, rule, WeightDecay(0.01))
    continued.restore(saved)
    run(continued, second, first=1)
    for name in SHAPES:
        np.testing.assert_array_equal(values(second)[name], values(whole)[name])


def test_parameters_without_gradient_stay() -> None:
    made = parameters()
    made["stem_conv_weight"].grad_req = "null"
    before = values(made)
    optimizer = Optimizer(made, Momentum(0.9, True), WeightDecay(0.5))
    for name in SHAPES:
        if name != "stem_conv_weight":
            made[name].grad()[:] = 1
    optimizer.step(0.1, 1)
    np.testing.assert_array_equal(values(made)["stem_conv_weight"], before["stem_conv_weight"])
    assert "velocity/stem_conv_weight" not in optimizer.state()
    assert (values(made)["classifier_bias"] != before["classifier_bias"]).all()


def test_half_precision_is_updated_through_a_float32_master() -> None:
    """A hundred updates, each too small for half precision, add up."""
    made = parameters(dtype="float16")
    before = values(made)["classifier_bias"]
    optimizer = Optimizer(made, Momentum(0.0, False), WeightDecay(0.0))
    for _ in range(100):
        for parameter in made.values():
            parameter.grad()[:] = 1
        optimizer.step(1e-5, 1)
    master = optimizer.masters()["classifier_bias"]
    assert master.dtype == np.float32
    half_ulp = 2**-24  # of values up to 2
    np.testing.assert_allclose(master.asnumpy(), before - 1e-3, rtol=0, atol=100 * half_ulp)
    np.testing.assert_allclose(values(made)["classifier_bias"], before - 1e-3, atol=1e-3)
    assert made["classifier_bias"].data().dtype == np.float16


def test_half_precision_gradients_are_summed_and_clipped_in_float32() -> None:
    """Their squares and their sum over devices are beyond half precision."""
    devices = (mx.cpu(0), mx.cpu(1))
    made = parameters(devices, dtype="float16")
    before = values(made)
    optimizer = Optimizer(made, Momentum(0.0, False), WeightDecay(0.0), clip_norm=2.0)
    for parameter in made.values():
        for gradient in parameter.list_grad():
            gradient[:] = 40_000
    num_values = sum(int(np.prod(shape)) for shape in SHAPES.values())
    length = 80_000 * np.sqrt(num_values) / NUM_IMAGES
    assert optimizer.step(1.0, NUM_IMAGES).asscalar() == pytest.approx(length, rel=1e-5)
    expected = {name: value - 2 / np.sqrt(num_values) for name, value in before.items()}
    for name, master in optimizer.masters().items():
        np.testing.assert_allclose(master.asnumpy(), expected[name], rtol=1e-5, atol=1e-6)
    for parameter in made.values():
        first, second = (array.asnumpy() for array in parameter.list_data())
        np.testing.assert_array_equal(first, second)


def test_norm_of_many_arrays() -> None:
    arrays = [mx.nd.full((3,), value) for value in range(300)]
    expected = np.sqrt(3 * sum(value**2 for value in range(300)))
    assert norm(arrays).asscalar() == pytest.approx(expected, rel=1e-6)
