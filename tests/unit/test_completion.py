"""How a shell completes a line, by argcomplete's protocol."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def ask(line: str, folder: Path, *before: str) -> subprocess.CompletedProcess[str]:
    """Runs the command as the shell's completion does; the answers go into `folder`/answers."""
    environment = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_SHELL": "bash",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(folder / "answers"),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    program = "\n".join([*before, "from mobilenet.cli import main; main(['quickstart'])"])
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment, cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "answers"),
    [
        ("mobilenet val", ["validate "]),
        ("mobilenet prepare --split ", ["train", "val"]),
        ("mobilenet train x.yaml model.width", ["model.width_multiplier="]),
    ],
)
def test_a_line_is_completed(line: str, answers: list[str], tmp_path: Path) -> None:
    assert ask(line, tmp_path).returncode == 0
    assert (tmp_path / "answers").read_text().splitlines() == answers


def test_an_unfinished_line_is_never_run(tmp_path: Path) -> None:
    """The shell may have argcomplete where this environment has not."""
    done = ask("mobilenet quickstart", tmp_path, "import sys; sys.modules['argcomplete'] = None")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert not list(tmp_path.iterdir())
