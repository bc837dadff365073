"""Several processes train what one would have trained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from other_classifier import write_onnx
from several import (
    ENGINES,
    HERE,
    SEPARABLE,
    TRAIN,
    largest_difference,
    launcher,
    parameters,
    records,
    run,
    watched_train,
)
from tiny_run import CONFIG, ENVIRONMENT, config, events, write_records

from mobilenet.training.build import learner

SEVEN = {"OMP_NUM_THREADS": "7"}
MANY = pytest.param(4, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("several")
    write_records(made / "records")
    return made


@pytest.fixture(scope="module")
def alone(folder: Path) -> Path:
    """One process with the same global batch."""
    return watched_train(folder, "alone", [sys.executable], True, *SEPARABLE)


def test_train_is_launched_like_its_script(folder: Path) -> None:
    """`-- train CONFIG` needs no script and no repository."""
    (folder / "short.yaml").write_text(CONFIG)
    call = [*launcher("kvstore", 2), "train", "short.yaml", "--run", "short", "training.epochs=1"]
    settings = ["distributed.engine=kvstore", "training.accumulation=1"]
    done = subprocess.run(
        [*call, *settings], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "short/checkpoints/" in done.stdout
    assert json.loads((folder / "short/log.jsonl").read_text().splitlines()[0])["num_ranks"] == 2


@pytest.mark.parametrize("num_workers", [2, MANY])
@pytest.mark.parametrize("engine", ENGINES)
def test_as_one_process(folder: Path, alone: Path, engine: str, num_workers: int) -> None:
    name = f"{engine}-{num_workers}"
    command = launcher(engine, num_workers)
    several = watched_train(folder, name, command, True, f"distributed.engine={engine}", *SEPARABLE)
    expected = parameters(alone, 0)
    for rank in range(num_workers):
        assert largest_difference(parameters(several, rank), expected) < 1e-5
    assert records(several) == records(alone)
    start = {
        f"parameters/{n}": a.asnumpy()
        for n, a in learner(config(folder / "records")).groups()["parameters"].items()
    }
    trained = {name: expected[name] for name in start}
    assert largest_difference(trained, start) > 0.1, "nothing was trained"


@pytest.mark.slow
def test_as_one_process_with_a_teacher_a_policy_and_a_growing_resolution(folder: Path) -> None:
    """Each rank asks the teacher about its own share of a batch."""
    write_onnx(folder / "teacher.onnx")
    taught = (
        *SEPARABLE,
        "distillation.teacher=teacher.onnx",
        "distillation.temperature=2",
        "augmentation.policy=randaugment",
        "training.resolution_steps=[[0, 32], [0.5, 48]]",
        "data.resolution=48",
        "validation.short_side=48",
    )
    alone = watched_train(folder, "taught-alone", [sys.executable], True, *taught)
    engine = "distributed.engine=kvstore"
    several = watched_train(folder, "taught-2", launcher("kvstore", 2), True, engine, *taught)
    for rank in range(2):
        assert largest_difference(parameters(several, rank), parameters(alone, 0)) < 1e-5


@pytest.mark.parametrize("num_workers", [pytest.param(2, marks=pytest.mark.slow), MANY])
@pytest.mark.parametrize("engine", ENGINES)
def test_ranks_are_equal(folder: Path, engine: str, num_workers: int) -> None:
    """With BatchNorm, dropout, mixing and averages, of which each rank has its own."""
    name = f"norm-{engine}-{num_workers}"
    command = launcher(engine, num_workers)
    several = watched_train(folder, name, command, False, f"distributed.engine={engine}")
    for rank in range(1, num_workers):
        assert largest_difference(parameters(several, rank), parameters(several, 0)) == 0


@pytest.mark.parametrize("num_workers", [2, MANY])
@pytest.mark.parametrize("engine", ENGINES)
def test_what_ranks_tell_each_other(tmp_path: Path, engine: str, num_workers: int) -> None:
    command = [*launcher(engine, num_workers), HERE / "exercise_group.py", engine, num_workers]
    done = run(tmp_path, command)
    assert done.returncode == 0, done.stderr
    assert all(f"fine {rank}" in done.stdout for rank in range(num_workers))


def test_ranks_end_early_together(folder: Path) -> None:
    """At a rate at which nothing moves no epoch is better than the first."""
    still = ("schedule.learning_rate=1e-12", "training.ema_decay=null", "training.epochs=6")
    settings = ("distributed.engine=kvstore", "training.patience=1", *still)
    done = run(folder, [*launcher("kvstore", 2), TRAIN, "tiny.yaml", "--run", "early", *settings])
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("the run ends early") == 1
    assert len([e for e in events(folder / "early") if e["event"] == "epoch"]) < 6


def test_one_of_several_without_an_engine_is_refused(folder: Path) -> None:
    done = run(folder, [*launcher("kvstore", 2), TRAIN, "tiny.yaml", "--run", "engineless"])
    assert done.returncode == 2
    assert (
        "distributed.engine: 'none' makes a group of 1, but this is one of 2 processes"
        in done.stderr
    )
    assert not (folder / "engineless").exists()


THREADS = """
import mobilenet, os, sys
sys.stdout.write(f"threads {os.environ['OMP_NUM_THREADS']} of {len(os.sched_getaffinity(0))}\\n")
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_workers_share_the_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """What the launcher takes for itself is not handed on as if the user had set it."""
    (tmp_path / "threads.py").write_text(THREADS)
    monkeypatch.delitem(ENVIRONMENT, "OMP_NUM_THREADS")
    command = [*launcher(engine, 2), "threads.py"]
    for given, share in (({}, max(1, len(os.sched_getaffinity(0)) // 2)), (SEVEN, 7)):
        done = run(tmp_path, command, given)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(f"threads {share} of") == 2, done.stdout
