"""Runs of several processes: started as users do, and looked at from outside."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

import mxnet as mx
import numpy as np
import pytest
from tiny_run import CONFIG, ENVIRONMENT

HERE = Path(__file__).parent
TRAIN = HERE.parent.parent / "train.py"
ENGINES = (
    "kvstore",
    pytest.param(
        "horovod",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("horovod") is None,
            reason="Horovod is not installed: make setup-horovod",
        ),
    ),
)

# What a few processes compute together exactly as one does: no image has an effect on another.
SEPARABLE = (
    "model.dropout=0",
    "augmentation.mixup=0",
    "augmentation.cutmix=0",
    "training.accumulation=1",
)
# Three epochs of seven steps, at a rate that moves the weights.
_LONGER = ("training.epochs=3", "schedule.learning_rate=0.5")


def launcher(engine: str, num_workers: int) -> list[str]:
    """The command before `train.py ...` that starts workers on this machine."""
    if engine == "kvstore":
        return [sys.executable, "-m", "mobilenet", "launch", "--local", str(num_workers), "--"]
    hosts = f"localhost:{num_workers}"
    start = [sys.executable, "-m", "mobilenet.distributed.horovodrun", "--gloo"]
    return [*start, "-np", str(num_workers), "-H", hosts, sys.executable]


def start(
    folder: Path, command: Sequence[str | Path], environment: Mapping[str, str] = {}
) -> subprocess.Popen[str]:
    """Starts a command in `folder`, which gets the configuration."""
    (folder / "tiny.yaml").write_text(CONFIG)
    return subprocess.Popen(
        list(map(str, command)),
        cwd=folder,
        env={**ENVIRONMENT, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder: Path, command: Sequence[str | Path], environment: Mapping[str, str] = {}) -> Any:
    """Waits for the command: its exit code, output and errors."""
    child = start(folder, command, environment)
    output, errors = child.communicate()
    return subprocess.CompletedProcess(command, child.returncode, output, errors)


def members(child: subprocess.Popen[str]) -> dict[str, int]:
    """The processes of a launched run, e.g. `worker 1`, with their process numbers."""
    found = {}
    for pid in Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split():
        its = variables(int(pid))
        if "DMLC_ROLE" in its:
            found[f"{its['DMLC_ROLE']} {its['DMLC_TASK_ID']}"] = int(pid)
    return found


def variables(pid: int) -> dict[str, str]:
    """The environment of a process."""
    pairs = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def wait_until(child: subprocess.Popen[str], is_time: Callable[[], Any]) -> None:
    """Waits as long as the process runs."""
    while child.poll() is None and not is_time():
        time.sleep(0.005)
    assert child.poll() is None, child.communicate()


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def descendants(pid: int) -> list[int]:
    """The processes that a process and its children have started."""
    children = [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    return children + [below for child in children for below in descendants(child)]


def watched_train(
    folder: Path, name: str, command: list[str], frozen: bool, *arguments: str
) -> Path:
    """Trains; gives the folder of what every rank read and became."""
    watched = folder / f"watched-{name}"
    watched.mkdir()
    environment = {"WATCHED": str(watched), "FROZEN_NORM": "1" if frozen else ""}
    whole = [*command, HERE / "watched_train.py", "tiny.yaml", "--run", name, *_LONGER, *arguments]
    done = run(folder, whole, environment)
    assert done.returncode == 0, done.stdout + done.stderr
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
