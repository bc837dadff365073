"""Processes that do not find each other, or differ; the deaths of processes are in tests/runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Callable, Sequence

import numpy as np
import pytest
from told import assert_told

from mobilenet import build, cli
from mobilenet.distributed.group import Floats, Group


@pytest.fixture
def said(
    job: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., str]:
    """Trains with some settings, which is refused before there is a run's folder."""
    monkeypatch.chdir(job)
    for name in ("DMLC_ROLE", "DMLC_NUM_WORKER", "OMPI_COMM_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)

    def train(*settings: str) -> str:
        run = tmp_path / "run"
        assert cli.main(["train", "mein Lauf.yaml", "--run", str(run), *settings]) == 2
        assert not run.exists()
        return capsys.readouterr().err

    return train


class _WithADifferentOne(Group):
    """Two ranks, of which the second always has something else to say."""

    size = 2

    def gather(self, values: Sequence[float]) -> Floats:
        return np.array([values, np.add(values, 1)])


def test_processes_that_are_no_group(
    said: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_told(said("distributed.engine=kvstore"), "kvstore without its launcher")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "horovod", None)
        assert_told(said("distributed.engine=horovod"), "Horovod is missing")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    assert_told(said(), "several processes that do not know each other")


def test_processes_that_do_not_fit(
    said: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "HorovodGroup", _WithADifferentOne)
    assert_told(said("distributed.engine=horovod"), "a process that differs")
    monkeypatch.setattr(_WithADifferentOne, "size", 5)
    assert_told(said("distributed.engine=horovod"), "a batch that processes cannot share")


@pytest.mark.parametrize(
    ("hosts", "situation"),
    [
        ("first\nsecond x\n", "a line of the file of hosts"),
        ("localhost\n127.0.0.2\n", "a host that means itself"),
    ],
)
def test_hosts_that_cannot_be_used(
    hosts: str, situation: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hosts").write_text(hosts)
    assert cli.main(["launch", "--hosts", str(tmp_path / "hosts"), "--", __file__]) == 2
    assert_told(capsys.readouterr().err, situation)
