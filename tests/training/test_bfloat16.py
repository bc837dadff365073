"""Training in bfloat16: whole steps, their state, and where it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import mxnet as mx
import numpy as np
import pytest

from mobilenet import settings
from mobilenet.compat.environment import has_bfloat16
from mobilenet.data.batch_reader import Batch
from mobilenet.errors import ConfigError
from mobilenet.runs.checkpoint_folder import Checkpoint, State, file_name
from mobilenet.settings.schema import Config
from mobilenet.training import build
from mobilenet.training.learner import Learner

needs_bfloat16 = pytest.mark.skipif(
    not has_bfloat16(), reason="the processor has no AVX512-BF16, or oneDNN may not use it"
)


def config(*overrides: str) -> Config:
    text = "model: {width_multiplier: 0.35, classes: 4}\ndata: {directory: ., resolution: 64}\n"
    return settings.loads(Config, text, "<text>", ("training.batch_size=16", *overrides))


def batch(number: int) -> Batch:
    """Four classes of images that differ in their mean colour."""
    random = np.random.default_rng(number)
    labels = random.integers(0, 4, 16).astype(np.int32)
    colours = np.random.default_rng(100).normal(size=(4, 3, 1, 1))
    images = colours[labels] + random.normal(size=(16, 3, 64, 64))
    return Batch(images.astype(np.float32), labels, tuple(range(16)))


def losses(learner: Learner, steps: range) -> list[float]:
    outcomes = [learner.step(batch(step), step, 0.02).read() for step in steps]
    return [outcome.metrics.loss_sum / 16 for outcome in outcomes]


def saved(learner: Learner, folder: Path) -> Checkpoint:
    for group, found in learner.groups().items():
        mx.nd.save(str(folder / file_name(group)), found)
    return Checkpoint(folder, State.__new__(State))


def arrays(learner: Learner) -> dict[str, np.ndarray]:
    groups = learner.groups()
    return {f"{g}/{n}": a.asnumpy() for g, found in groups.items() for n, a in found.items()}


@needs_bfloat16
def test_it_learns_as_in_float32() -> None:
    single = losses(build.learner(config()), range(40))
    half = losses(build.learner(config("training.precision=bfloat16")), range(40))
    assert half != single
    # At random, the loss is ln 4 = 1.39. Single batches differ much; the mean of 32 does not.
    assert np.mean(half[8:]) < 1
    assert np.mean(half[8:]) == pytest.approx(np.mean(single[8:]), rel=0.4)


@needs_bfloat16
def test_state_is_in_float32_and_steps_repeat(tmp_path: Path) -> None:
    chosen = config("training.precision=bfloat16", "training.accumulation=2")
    whole, parted = build.learner(chosen), build.learner(chosen)
    losses(whole, range(4))
    losses(parted, range(2))
    resumed = build.learner(chosen)
    state = {
        group: {n: a.copy() for n, a in found.items()} for group, found in parted.groups().items()
    }
    resumed._take_over(state.__getitem__, None)
    losses(resumed, range(2, 4))
    expected, given = arrays(whole), arrays(resumed)
    for name, array in expected.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(given[name], array, name)


@pytest.mark.parametrize("begin", [build.learner, build.parts])
def test_other_processors_are_refused(
    begin: Callable[[Config], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DNNL_MAX_CPU_ISA", "AVX2")
    with pytest.raises(ConfigError, match="bfloat16 needs a processor with AVX512-BF16"):
        begin(config("training.precision=bfloat16"))


def test_gpus_are_refused() -> None:
    with pytest.raises(ConfigError, match="bfloat16 needs the device cpu"):
        config("training.precision=bfloat16", "training.devices=[gpu(0)]")
