"""The two-command promise: quickstart ends with a trained, proven, validated network."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_quickstart_reaches_its_target_and_is_idempotent(tmp_path: Path) -> None:
    call = [sys.executable, "-m", "mobilenet", "quickstart", "--output", "out"]
    for _ in range(2):
        done = subprocess.run(call, check=False, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        table = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
        assert table["opset"] == "7"
        assert table["top-1"].endswith("of 1,000")
        assert float(table["top-1"].split()[1].rstrip("%")) >= 95
    assert "already prepared" in done.stderr
