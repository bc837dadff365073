"""A step leaves no memory behind, however the training graph is built."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "memory_per_step.py"


@pytest.mark.parametrize(
    ("width", "steps"),
    [
        ("0.1", 200),
        pytest.param("0.5", 1000, marks=pytest.mark.slow),
        pytest.param("1.0", 1000, marks=pytest.mark.slow),
    ],
)
def test_a_step_leaves_no_memory_behind(width: str, steps: int) -> None:
    """In a process of its own, in which nothing else grows or shrinks."""
    command = [sys.executable, str(BENCHMARK), "--width", width, "--steps", str(steps)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    (kib,) = re.findall(r"(-?[\d.]+) KiB a step", done.stdout)
    assert float(kib) < 0.1  # `concat` of the padded channels left 27
