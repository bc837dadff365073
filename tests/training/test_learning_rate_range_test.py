"""The range test, on losses whose course is known."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Callable

import numpy as np
import pytest
from told import assert_told

from mobilenet import cli
from mobilenet.data.batch_reader import Batch
from mobilenet.errors import VerificationError
from mobilenet.training import training_run
from mobilenet.training.learning_rate_range_test import HIGHEST, LOWEST, RangeTest, range_test

BATCH = Batch(np.zeros((1, 3, 1, 1), np.float32), np.zeros(1, np.int32), np.zeros(1, np.int64))


def ranged(loss: Callable[[float], float], num_steps: int = 100) -> RangeTest:
    return range_test(itertools.repeat(BATCH), num_steps, lambda _, __, rate: loss(rate))


def valley(lowest_at: float) -> Callable[[float], float]:
    """A loss that falls to 1 at a rate, and rises beyond it."""
    return lambda rate: 1 + min(2.0, abs(math.log10(rate / lowest_at))) ** 2


@pytest.mark.parametrize("lowest_at", [1e-3, 1e-2, 0.1])
def test_a_tenth_of_the_rate_at_the_lowest_loss(lowest_at: float) -> None:
    found = ranged(valley(lowest_at))
    # The smoothed loss lags behind by less than a power of ten.
    assert lowest_at <= found.best < 10 * lowest_at
    assert found.suggestion == pytest.approx(found.best / 10, rel=0.06)


def test_rates_grow_evenly_from_the_lowest_to_the_highest() -> None:
    found = ranged(lambda rate: 1 / (1 + rate))
    assert found.rates[0] == LOWEST
    assert found.rates[-1] == pytest.approx(HIGHEST)
    growth = np.diff(np.log(found.rates))
    np.testing.assert_allclose(growth, growth[0], rtol=1e-6)


@pytest.mark.parametrize("beyond", [math.inf, math.nan, 1e6])
def test_it_stops_where_the_loss_diverges(beyond: float) -> None:
    seen: list[float] = []

    def loss(rate: float) -> float:
        seen.append(rate)
        return beyond if rate > 0.1 else valley(1e-2)(rate)

    found = ranged(loss)
    assert len(seen) == len(found.rates) + 1
    assert found.rates[-1] <= 0.1 < seen[-1]
    assert all(map(math.isfinite, found.losses))


@pytest.mark.parametrize("loss", [lambda _: math.nan, lambda rate: 1 + rate])
def test_a_loss_that_never_falls(loss: Callable[[float], float]) -> None:
    with pytest.raises(VerificationError, match="the loss did not fall at any learning rate"):
        ranged(loss)


def test_the_command_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training_run, "find_rate", lambda *_: ranged(lambda rate: 1 + rate))
    picture = tmp_path / "rates.png"
    assert cli.main(["find-rate", "configs/quickstart.yaml", "--output", str(picture)]) == 1
    assert_told(capsys.readouterr().err, "no learning rate at which the loss falls")
    assert not picture.exists()
