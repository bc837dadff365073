"""The two-command promise: quickstart ends with a trained, proven, validated network."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mobilenet import cli, quickstart
from mobilenet.errors import DataError
from mobilenet.metrics import Counts
from mobilenet.runs import run_folder


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
    options = cli._parse(cli._parser(), ["quickstart"])
    assert f" {options.output} " in done.stdout


def test_pictures_of_another_kind_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "images"
    for _ in range(2):
        assert quickstart.sample_images(folder, 1, 1) == folder
    for change in ({"_SIZE": 128}, {"_SEED": 2}):
        with monkeypatch.context() as changed:
            changed.setattr(quickstart, *change.popitem())
            with pytest.raises(DataError, match=r"images: holds other images than 1 training"):
                quickstart.sample_images(folder, 1, 1)
    (tmp_path / "images.txt").unlink()
    with pytest.raises(DataError, match="holds other images"):
        quickstart.sample_images(folder, 1, 1)


def test_a_missed_target_shows_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    validation: Any = SimpleNamespace(counts=Counts(100, 94, 99, 5.0))
    difference = SimpleNamespace(absolute=1e-6)
    exported: Any = SimpleNamespace(path="m.onnx", num_bytes=1, opset=7, difference=difference)
    outcome = quickstart.Outcome(10, validation, validation, exported, Path("run"))
    monkeypatch.setattr(quickstart, "quickstart", lambda output: outcome)
    assert cli.main(["quickstart"]) == 1
    shown = capsys.readouterr()
    assert "94.00% / 99.00% of 100" in shown.out
    assert "reached 94.0% top-1; at least 95% is expected" in shown.err


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_run_is_resumed_once_it_has_a_configuration(
    has_begun: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").touch()  # as a process leaves it that was killed at its start
    if has_begun:
        (tmp_path / "run" / run_folder.CONFIG).touch()
    calls = []

    def train(config: Any, run: Path, resume: bool) -> None:
        calls.append(resume)
        raise KeyboardInterrupt

    monkeypatch.setattr(quickstart, "train", train)
    monkeypatch.setattr(quickstart, "sample_images", lambda folder: None)
    monkeypatch.setattr(quickstart, "prepare", lambda options: None)
    with pytest.raises(KeyboardInterrupt):
        quickstart.quickstart(tmp_path)
    assert calls == [has_begun]
