"""How a shell completes a line, by argcomplete's protocol."""

from __future__ import annotations

import os
import re
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


def test_bash_completes_after_what_the_readme_says() -> None:
    readme = Path(__file__).parent.parent.parent / "README.md"
    (switch,) = re.findall(r"`(eval .*?)`", readme.read_text(encoding="utf-8"))
    # As bash asks when Tab is pressed after `mobilenet quick`.
    asks = "COMP_LINE='mobilenet quick'; COMP_POINT=15; COMP_TYPE=9; COMP_WORDS=(mobilenet quick)"
    function = "$(complete -p mobilenet | sed 's/.*-F \\([^ ]*\\).*/\\1/')"
    program = f"{switch}; {asks}; COMP_CWORD=1; {function} mobilenet; echo ${{COMPREPLY[@]}}"
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(
        ["bash", "-c", program],
        env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "quickstart", done.stderr
