"""The benchmarks, whose numbers the documents name, still start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent.parent / "benchmarks"


PROGRAMS = {path.name for path in BENCHMARKS.glob("*.py")} - {
    "header.py",  # what the others share
    "torch_python.py",
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


def test_an_interpreter_without_pytorch_is_refused_before_anything_is_measured(
    tmp_path: Path,
) -> None:
    (tmp_path / "bare").mkdir()
    python = tmp_path / "bare/python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')  # without site-packages
    python.chmod(0o755)
    command = [sys.executable, BENCHMARKS / "speed.py", "train", "--torch", python]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.endswith(f"--torch: {python} lacks torch, numpy, cv2\n")
