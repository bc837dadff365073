"""Runs `--help` of several benchmarks in this one process, so that MXNet is imported only once.

    python benchmarks_help.py FOLDER FILE.py...

Each runs as `__main__` in a folder of its name in FOLDER. Prints as JSON how each one ended.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import runpy
import sys
import traceback
from pathlib import Path


def run_help(program: Path, folder: Path) -> dict[str, object]:
    """The exit code and what was printed, with the traceback of an error."""
    folder.mkdir()
    os.chdir(folder)
    sys.argv = [str(program), "--help"]
    sys.path[0] = str(program.parent)
    output, code = io.StringIO(), 0
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            runpy.run_path(str(program), run_name="__main__")
        except SystemExit as end:
            code = int(end.code or 0)
        except Exception:
            code = 1
            traceback.print_exc()
    return {"code": code, "output": output.getvalue()}


if __name__ == "__main__":
    programs = [Path(text).resolve() for text in sys.argv[2:]]
    inside = Path(sys.argv[1]).resolve()
    json.dump({one.name: run_help(one, inside / one.stem) for one in programs}, sys.stdout)
