"""The learner, and what the configuration makes of schedule and optimizer."""

from __future__ import annotations

import math
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from mobilenet import build, settings
from mobilenet.data.batch_reader import Batch
from mobilenet.data.epoch_order import augmentation_draws, epoch_order
from mobilenet.errors import ConfigError
from mobilenet.network import graph_forms
from mobilenet.settings.schema import Config
from mobilenet.training import build as training_build
from mobilenet.training.batchnorm_recalibration import Recalibration
from mobilenet.training.learner import Learner, is_finite

TINY = """
model: {width_multiplier: 0.1, classes: 10}
data: {resolution: 32}
training: {batch_size: 8}
"""


def config(*overrides: str) -> Config:
    return settings.loads(Config, TINY, "tiny", overrides)


def batch(seed: int) -> Batch:
    random = np.random.default_rng(seed)
    images = random.standard_normal((8, 3, 32, 32)).astype(np.float32)
    labels = random.integers(0, 10, 8)
    return Batch(images, labels.astype(np.int32), np.arange(8))


def values(learner: Learner, group: str) -> dict[str, np.ndarray]:
    return {name: array.asnumpy() for name, array in learner.groups()[group].items()}


def test_averages_take_in_weights_and_statistics_of_their_own_step() -> None:
    """One learner is waited for after each step, the other has all its steps in flight at once."""
    waiting, ahead = (training_build.learner(config("training.ema_decay=0.7")) for _ in range(2))
    expected = {n: v.astype(np.float64) for n, v in values(waiting, "parameters").items()}
    for step in range(6):
        waiting.step(batch(step), step, 0.05).read()
        mx.nd.waitall()
        decay = min(0.7, (1 + step) / (10 + step))
        for name, value in values(waiting, "parameters").items():
            expected[name] = decay * expected[name] + (1 - decay) * value
    outcomes = [ahead.step(batch(step), step, 0.05) for step in range(6)]
    outcomes[-1].read()
    for learner in (waiting, ahead):
        for name, value in values(learner, "average").items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_groups_hold_weights_statistics_and_the_optimizer_s_state() -> None:
    learner = training_build.learner(config("optimizer.name=rmsprop"))
    groups = learner.groups()
    assert set(groups) == {"parameters", "optimizer"}
    assert "stem_norm_running_var" in groups["parameters"]
    assert "velocity/stem_norm_gamma" in groups["optimizer"]
    assert "mean_square/classifier_bias" in groups["optimizer"]
    assert "velocity/stem_norm_running_var" not in groups["optimizer"]


def test_recalibrated_arrays_are_all_on_the_device_that_trains() -> None:
    """MXNet has no operator on arrays of which some are on a GPU and some are not."""
    there = config("training.devices=[cpu(1)]")
    recalibrate = Recalibration(lambda: build.network(there), mx.cpu(1), num_batches=1)
    arrays = training_build.learner(there).groups()["parameters"]
    assert {array.context for array in recalibrate(arrays, [batch(0)]).values()} == {mx.cpu(1)}


def test_frozen_parts_keep_their_weights_in_half_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No convolution in half precision runs on a CPU, but whatever else a step and a save need."""
    initial = training_build.learner(config()).groups()["parameters"]
    path = tmp_path / "initial.params"
    mx.nd.save(str(path), {name: array + 1e-5 for name, array in initial.items()})
    monkeypatch.setattr(build, "contexts", lambda _: [mx.cpu()])
    monkeypatch.setattr(
        graph_forms, "training_form", lambda *_: graph_forms.TrainingForm("plain", "GPUs")
    )
    half = ("training.devices=[gpu(0)]", "training.precision=float16", "training.ema_decay=0.9")
    start = (f"training.initial_weights={path}", "training.frozen_stages=2")
    learner = training_build.learner(config(*half, *start))
    weights = training_build.initial_weights(config(*half, *start), [mx.cpu()])
    assert weights is not None
    weights.load(learner, [])
    for name, array in learner.groups()["parameters"].items():
        assert array.dtype == np.float32
        assert (array == initial[name] + 1e-5).asnumpy().all(), name
    assert all(map(is_finite, learner.groups().values()))


def test_finite() -> None:
    arrays = {f"a{i}": mx.nd.ones((2,)) for i in range(300)}
    assert is_finite(arrays)
    for value in (math.nan, math.inf):
        assert not is_finite({**arrays, "last": mx.nd.array([1.0, value])})


def test_schedules_of_the_configuration() -> None:
    exponential = training_build.schedule(
        config("schedule={name: exponential, learning_rate: 0.045}", "training.epochs=480"), 4003
    )
    assert [exponential(step) for step in (0, 4002)] == [0.045, 0.045]
    assert exponential(4003) == pytest.approx(0.045 * 0.98)
    assert exponential(480 * 4003 - 1) == pytest.approx(0.045 * 0.98**479)

    steps = training_build.schedule(
        config("schedule={name: step, milestones: [30, 60.5], factor: 0.2}"), 100
    )
    assert steps(2999) == 0.05
    assert steps(3000) == steps(6049) == pytest.approx(0.01)
    assert steps(6050) == pytest.approx(0.002)

    cosine = training_build.schedule(
        config(
            "schedule={learning_rate: 0.1, reference_batch_size: 4, warmup_epochs: 5,"
            " final_learning_rate: 0.001}",
            "training.epochs=20",
        ),
        10,
    )
    assert cosine(0) == pytest.approx(0.2 / 50)
    assert cosine(49) == cosine(50) == pytest.approx(0.2)
    assert cosine(125) == pytest.approx(0.101)  # half way
    assert cosine(200) == pytest.approx(0.002)

    warm = training_build.schedule(
        config(
            "schedule={learning_rate: 0.1, reference_batch_size: 4, warmup_epochs: 1,"
            " initial_learning_rate: 0.05}",
        ),
        10,
    )
    assert warm(0) == pytest.approx(0.1 + (0.2 - 0.1) / 10)  # both rates are those of 8 images
    assert warm(9) == pytest.approx(0.2)

    polynomial = training_build.schedule(
        config("schedule={name: polynomial, power: 2}", "training.epochs=10"), 10
    )
    assert polynomial(50) == pytest.approx(0.05 / 4)


@pytest.mark.parametrize(
    ("overrides", "setting"),
    [
        (("schedule={name: step, milestones: [150]}",), "schedule.milestones"),
        (("schedule.final_learning_rate=0.06",), "final_learning_rate"),
        (("schedule.learning_rate=1e39",), "learning_rate"),
        (("schedule.initial_learning_rate=0.01",), "initial_learning_rate"),
        (
            ("schedule={warmup_epochs: 1, initial_learning_rate: 0.06}",),
            "initial_learning_rate",
        ),
        (("training.devices=[cpu, cpu]",), "devices"),
        (
            (f"training.seed={2**64}",),
            r"training\.seed: expected an integer, at least 0 and at most",
        ),
    ],
)
def test_what_could_not_work_is_refused(overrides: tuple[str, ...], setting: str) -> None:
    with pytest.raises(ConfigError, match=setting):
        config(*overrides)


def test_the_largest_seed_is_good_for_everything_random() -> None:
    seed = config(f"training.seed={2**64 - 1}").training.seed
    assert sorted(epoch_order(5, seed, 0)) == list(range(5))
    assert augmentation_draws(seed, 0, np.arange(2), 3).shape == (2, 3)
    dropping = ("model.dropout=0.5", "augmentation.mixup=0.2")
    learner = training_build.learner(config(f"training.seed={seed}", *dropping))
    assert learner.step(batch(0), 0, 0.05).read().is_finite


@pytest.mark.parametrize("devices", ["[cpu, cpu(0)]", "[cpu(1), cpu(01)]"])
def test_one_device_by_two_names_is_refused(devices: str) -> None:
    with pytest.raises(ConfigError, match=r"training\.devices: 'cpu\(\d\)' is named twice"):
        build.contexts(config(f"training.devices={devices}"))
