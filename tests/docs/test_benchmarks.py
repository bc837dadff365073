"""The benchmarks, whose numbers the documents name, still start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent.parent / "benchmarks"


PROGRAMS = {path.name for path in BENCHMARKS.glob("*.py")} - {
    "header.py",  # what the others share
    "torch_mobilenet.py",  # these need PyTorch, which the project does without
    "torch_speed.py",
    "timm_weights.py",
}


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_a_benchmark_says_how_it_is_used(name: str, tmp_path: Path) -> None:
    command = [sys.executable, BENCHMARKS / name, "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert name in done.stdout
    assert not list(tmp_path.iterdir())
