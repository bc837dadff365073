"""Kills commands at random moments of the work that they have to do."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Iterator, Sequence

_EARLIEST = 0.4  # until then Python loads libraries
_TICKS = os.sysconf("SC_CLK_TCK")


def start(folder: Path, words: Sequence[str]) -> subprocess.Popen[str]:
    """Starts a command of the package in the folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "mobilenet", *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(folder: Path, words: Sequence[str]) -> float:
    """Runs a command to its end, which has to be a good one; gives its seconds of a processor."""
    before = os.times()
    child = start(folder, words)
    _, errors = child.communicate()
    assert child.returncode == 0, errors
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])


def _seconds(process: int) -> float:
    """Of a processor that the process has had: what others do on the machine does not count."""
    try:
        fields = (
            Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        )
    except OSError:
        return float("inf")
    return (int(fields[11]) + int(fields[12])) / _TICKS


def kill(child: subprocess.Popen[str], seconds: float, number: signal.Signals) -> bool:
    """Sends the signal when the process has had so much of a processor; whether it came in time."""
    while child.poll() is None and _seconds(child.pid) < seconds:
        time.sleep(0.002)
    child.send_signal(number)
    _, errors = child.communicate()
    assert "Traceback" not in errors, errors
    assert child.returncode in (0, 143, -number), errors
    return child.returncode != 0


def moments(total: float, seed: int) -> Iterator[tuple[float, signal.Signals]]:
    """Random moments of a work of `total` seconds of a processor, each with a signal."""
    generator = random.Random(seed)
    while True:
        signals = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)
        yield total * generator.uniform(_EARLIEST, 1), generator.choice(signals)
