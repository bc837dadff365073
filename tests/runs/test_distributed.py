"""Several processes train what one would have trained."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from several import ENGINES, HERE, SEPARABLE, TRAIN, launcher, run
from tiny_run import config, write_records

from mobilenet.learner import Learner

WATCHED = HERE / "watched_train.py"
# Three epochs of seven steps, at a rate that moves the weights.
ARGUMENTS = ("training.epochs=3", "schedule.learning_rate=0.5")
MANY = pytest.param(4, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("several")
    write_records(made / "records")
    return made


def train(folder: Path, name: str, command: list[str], frozen: bool, *arguments: str) -> Path:
    """Trains; gives the folder of what every rank read and became."""
    watched = folder / f"watched-{name}"
    watched.mkdir()
    environment = {"WATCHED": str(watched), "FROZEN_NORM": "1" if frozen else ""}
    whole = [*command, WATCHED, "tiny.yaml", "--run", name, *ARGUMENTS, *arguments]
    done = run(folder, whole, environment)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1, done.stdout
    return watched


def parameters(watched: Path, rank: int) -> dict[str, np.ndarray]:
    arrays = mx.nd.load(str(watched / f"rank-{rank}.params"))
    return {name: array.asnumpy() for name, array in arrays.items()}


def records(watched: Path) -> Counter[str]:
    """How often each record was read in each epoch, by whatever rank."""
    files = watched.glob("records-*.txt")
    return Counter(line for path in files for line in path.read_text().splitlines())


def largest_difference(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> float:
    assert set(first) == set(second)
    return max(float(np.abs(first[name] - second[name]).max()) for name in first)


@pytest.fixture(scope="module")
def alone(folder: Path) -> Path:
    """One process with the same global batch."""
    return train(folder, "alone", [sys.executable], True, *SEPARABLE)


@pytest.mark.parametrize("num_workers", [2, MANY])
@pytest.mark.parametrize("engine", ENGINES)
def test_as_one_process(folder: Path, alone: Path, engine: str, num_workers: int) -> None:
    name = f"{engine}-{num_workers}"
    command = launcher(engine, num_workers)
    several = train(folder, name, command, True, f"distributed.engine={engine}", *SEPARABLE)
    expected = parameters(alone, 0)
    for rank in range(num_workers):
        assert largest_difference(parameters(several, rank), expected) < 1e-5
    assert records(several) == records(alone)
    start = {
        f"parameters/{n}": a.asnumpy()
        for n, a in Learner(config(folder / "records")).groups()["parameters"].items()
    }
    trained = {name: expected[name] for name in start}
    assert largest_difference(trained, start) > 0.1, "nothing was trained"


@pytest.mark.parametrize("num_workers", [pytest.param(2, marks=pytest.mark.slow), MANY])
@pytest.mark.parametrize("engine", ENGINES)
def test_ranks_are_equal(folder: Path, engine: str, num_workers: int) -> None:
    """With BatchNorm, dropout, mixing and averages, of which each rank has its own."""
    name = f"norm-{engine}-{num_workers}"
    command = launcher(engine, num_workers)
    several = train(folder, name, command, False, f"distributed.engine={engine}")
    for rank in range(1, num_workers):
        assert largest_difference(parameters(several, rank), parameters(several, 0)) == 0


@pytest.mark.parametrize("num_workers", [2, MANY])
@pytest.mark.parametrize("engine", ENGINES)
def test_what_ranks_tell_each_other(tmp_path: Path, engine: str, num_workers: int) -> None:
    command = [*launcher(engine, num_workers), HERE / "exercise_group.py", engine, num_workers]
    done = run(tmp_path, command)
    assert done.returncode == 0, done.stderr
    assert all(f"fine {rank}" in done.stdout for rank in range(num_workers))


def test_one_of_several_without_an_engine_is_refused(folder: Path) -> None:
    done = run(folder, [*launcher("kvstore", 2), TRAIN, "tiny.yaml", "--run", "engineless"])
    assert done.returncode == 2
    assert "distributed.engine: 'none', but this is one of 2 processes" in done.stderr
    assert not (folder / "engineless").exists()
