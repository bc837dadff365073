"""What the release check writes down, and that it does the README's job."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from readme_commands import ROOT, as_installed, imagenet_commands, made_small


@pytest.fixture(scope="module")
def release_check() -> Any:
    spec = importlib.util.spec_from_file_location("checking", ROOT / ".ci" / "release_check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_step_is_a_line_and_what_it_said_is_elsewhere(release_check: Any, tmp_path: Path) -> None:
    log = tmp_path / "build" / "log.txt"
    check = release_check.Check(log)
    say = [sys.executable, "-c", "print('good')"]
    fail = [sys.executable, "-c", "raise SystemExit('bad')"]
    assert not check.run([("one", say), ("two", fail), ("three", say)], tmp_path)
    assert check.num_failed == 1
    lines = log.read_text().splitlines()
    assert [re.sub(r" +\d+ s +", " ", line) for line in lines] == ["ok one", "FAILED two"]
    assert check.details.read_text().splitlines() == ["good", lines[0], "bad", lines[1]]


def test_a_python_that_is_missing_is_a_failure(release_check: Any, tmp_path: Path) -> None:
    check = release_check.Check(tmp_path / "log.txt")
    names = ["python-that-is-not-there", "false", sys.executable]
    assert release_check.suitable(check, names) == [sys.executable]
    assert check.num_failed == 2


def test_the_job_needs_nothing_of_a_clone() -> None:
    job = [as_installed(made_small(line)) for line in imagenet_commands()]
    assert [words[:2] for words in job] == [
        ["mobilenet", command] for command in ("prepare", "verify", "train", "validate", "export")
    ]


def test_the_miniature_is_made(release_check: Any, tmp_path: Path) -> None:
    check = release_check.Check(tmp_path / "log.txt")
    call = [sys.executable, "-c", release_check.TARS, str(ROOT / "tests" / "helpers")]
    assert check.run([("tars", call)], tmp_path)
    assert len(list((tmp_path / "ILSVRC2012").iterdir())) == 3
