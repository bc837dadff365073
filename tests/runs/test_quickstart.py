"""The two-command promise: quickstart ends with a trained, proven, validated network."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mobilenet import cli


@pytest.mark.slow
def test_quickstart_reaches_its_target_and_is_idempotent(tmp_path: Path) -> None:
    call = [sys.executable, "-m", "mobilenet", "quickstart", "--output", "out"]
    for _ in range(2):
        done = subprocess.run(call, check=False, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        # The names have single spaces, and at least two before the value.
        table = dict(re.split(" {2,}", line) for line in done.stdout.splitlines())
        assert table["opset"] == "7"
        top1, _, _, _, num_images = table["top-1 / top-5"].split()
        assert float(top1.rstrip("%")) >= 95
        assert num_images == "1,000"
    assert "already prepared" in done.stderr


def test_make_clean_removes_what_it_makes() -> None:
    call = ["make", "--dry-run", "-C", str(Path(__file__).parent.parent.parent), "clean"]
    done = subprocess.run(call, check=True, capture_output=True, text=True)
    options = cli._parse(["quickstart"])
    assert f" {options.output} " in done.stdout
