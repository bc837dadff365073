"""Waiting threads sleep sooner while others are busy, and only then."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mobilenet.compat.shared_processors import (
    ProcessorTime,
    processor_time,
    processors_of_others,
)


def test_processor_time_counts_all_but_idle_time_on_the_usable_processors(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text(
        "cpu  9 9 9 9 9 9 9 9 9 9\n"
        + "".join(f"cpu{n} 100 20 3 5000 600 40 7 1 30 2\n" for n in range(os.cpu_count() or 1))
        + "cpu9999 1 1 1 1 1 1 1 1 1 1\nintr 5 6 7\n\n"
    )
    usable, ticks = len(os.sched_getaffinity(0)), os.sysconf("SC_CLK_TCK")
    found = processor_time(tmp_path / "stat")
    # Guests' time is part of the user's.
    assert found.of_all == pytest.approx(usable * (100 + 20 + 3 + 40 + 7 + 1) / ticks)


@pytest.mark.parametrize(
    ("of_all", "own", "others"), [(3.0, 2.0, 0.5), (4.0, 0.0, 2.0), (1.0, 1.1, 0.0)]
)
def test_others_are_all_but_this_process(of_all: float, own: float, others: float) -> None:
    before = ProcessorTime(10.0, 50.0, 5.0)
    after = ProcessorTime(12.0, 50.0 + of_all, 5.0 + own)
    assert processors_of_others(before, after) == pytest.approx(others)


# How much processor time a team of two uses that waits nearly always, and would spin endlessly.
MEASURED = """
import ctypes, os, time
import mobilenet.compat.shared_processors as shared
os.environ["GOMP_SPINCOUNT"] = "100000000"  # read by libgomp when it is loaded
library = ctypes.CDLL("libgomp.so.1")
with shared.shared_processors(interval=0.2):
    library.GOMP_parallel(library.omp_get_num_threads, None, 2, 0)
    time.sleep(1)
    used, start = time.process_time(), time.monotonic()
    while time.monotonic() < start + 1:
        library.GOMP_parallel(library.omp_get_num_threads, None, 2, 0)
        time.sleep(0.01)
    print(time.process_time() - used)
"""
NAMES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS", "MOBILENET_LOCAL_SIZE")


def seconds_spun(**variables: str) -> float:
    """Processor seconds of a second of waiting."""
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    call = [sys.executable, "-W", "ignore", "-c", MEASURED]
    done = subprocess.run(
        call, check=True, stdout=subprocess.PIPE, env={**environment, **variables}
    )
    return float(done.stdout)


@pytest.fixture
def busy_neighbours() -> Iterator[None]:
    """Another process that computes all the time for each processor."""
    call = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(call) for _ in os.sched_getaffinity(0)]
    yield
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
@pytest.mark.usefixtures("busy_neighbours")
def test_threads_sleep_sooner_beside_others_unless_somebody_else_decides() -> None:
    assert seconds_spun() < 0.1
    assert seconds_spun(GOMP_SPINCOUNT="100000000") > 0.2
    assert seconds_spun(MOBILENET_LOCAL_SIZE="2", OMP_NUM_THREADS="2") > 0.2
