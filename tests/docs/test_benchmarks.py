"""The benchmarks, whose numbers the documents name, still start."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
BENCHMARKS = ROOT / "benchmarks"
HELPER = ROOT / "tests/helpers/benchmarks_help.py"

PROGRAMS = {path.name for path in BENCHMARKS.glob("*.py")} - {
    "header.py",  # what the others share
    "mobilenet_bench.py",
    "torch_python.py",
    "torch_mobilenet.py",  # these need PyTorch, which the project does without
    "torch_speed.py",
    "timm_weights.py",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In which each benchmark has a folder of its name to run in."""
    return tmp_path_factory.mktemp("benchmarks")


@pytest.fixture(scope="module")
def ended(folder: Path) -> dict[str, dict[str, Any]]:
    """How each benchmark ended after `--help`."""
    command = [sys.executable, HELPER, folder, *(BENCHMARKS / name for name in sorted(PROGRAMS))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return results


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_a_benchmark_says_how_it_is_used(
    name: str, ended: dict[str, dict[str, Any]], folder: Path
) -> None:
    assert ended[name]["code"] == 0, ended[name]["output"]
    assert f"usage: {name}" in ended[name]["output"]
    assert not list((folder / Path(name).stem).iterdir())


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_a_benchmark_makes_mxnet_importable_before_it_imports_it(name: str) -> None:
    tree = ast.parse((BENCHMARKS / name).read_text(encoding="utf-8"))
    imported = []
    for node in tree.body:
        if isinstance(node, ast.Import):
            imported += [alias.name.partition(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imported.append(str(node.module).partition(".")[0])
    if "mxnet" in imported:
        assert "mobilenet" in imported[: imported.index("mxnet")]


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
