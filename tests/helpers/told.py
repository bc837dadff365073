"""The table in docs/errors.md, and jobs to make mistakes in."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
TABLE = ROOT / "docs" / "errors.md"
_PREFIX = r"(mobilenet( [\w-]+)?: )?"


def rows() -> dict[str, str]:
    """The message of each situation, empty where nothing is said."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    cells = [line.strip("|").split("|") for line in lines if line.startswith("| ")]
    named = [(name.strip(), text) for name, text, _ in cells if name.strip() != "situation"]
    found = {
        name: "" if text.strip().startswith("none") else text.strip(" `") for name, text in named
    }
    assert len(found) == len(named), "two rows of docs/errors.md have the same situation"
    return found


def assert_told(said: str, situation: str) -> None:
    """The last line that was said is the message in the table."""
    pattern = ".+".join(map(re.escape, rows()[situation].split("…")))
    last = said.splitlines()[-1]
    assert re.fullmatch(_PREFIX + pattern, last), f"{last!r} is not what docs/errors.md says"


def mobilenet(folder: Path, *words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a command in a process of its own."""
    call = [sys.executable, "-m", "mobilenet", *map(str, words)]
    given = {"capture_output": True, "text": True, **options}
    return subprocess.run(call, cwd=folder, check=False, **given)


def without_privileges(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Runs a command to which permissions apply, also when the tests are run by root."""
    call = [sys.executable, "-m", "mobilenet", *map(str, words)]
    if os.geteuid() == 0:
        call = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *call]
    return subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False)
