"""One process of a launched run: the scheduler, a server or a worker, as DMLC_ROLE says.

The launcher starts `python -m mobilenet.distributed.launched_process [SCRIPT ARGUMENT ...]`, where
`-m MODULE` may take the place of the script, perhaps over ssh, and sends to its standard input the
numbers of signals and, every few seconds, a 0. When the launcher is gone, or silent for too long,
the process ends at once.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import select
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import NoReturn

# The launcher sends a heartbeat every few seconds; after so long a silence it is lost.
PATIENCE_SECONDS = 40


def main() -> None:
    """Serves, schedules or runs the script, according to DMLC_ROLE."""
    control = os.dup(sys.stdin.fileno())
    os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
    threading.Thread(target=_follow, args=(control,), daemon=True).start()
    if os.environ["DMLC_ROLE"] == "worker":
        _work(sys.argv[1:])
    else:
        import mxnet  # noqa: F401, PLC0415 - serves while it is imported, and exits


def _follow(control: int) -> None:
    """Raises the signals that the launcher sends; ends the process when it is gone."""
    while select.select([control], [], [], PATIENCE_SECONDS)[0]:
        words = os.read(control, 1024).split()
        if not words:
            break
        for number in map(int, words):
            if number:
                os.kill(os.getpid(), number)
    os.kill(os.getpid(), signal.SIGKILL)


def _work(command: list[str]) -> None:
    """Runs a Python script, or `-m` a module, as its own process would."""
    try:
        if command[0] == "-m":
            sys.argv = command[1:]
            runpy.run_module(command[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv, sys.path[0] = command, str(Path(command[0]).parent)
            runpy.run_path(command[0], run_name="__main__")
    except SystemExit as end:
        if not isinstance(end.code, (int, type(None))):
            _end(1, f"{end.code}\n")
        if end.code:
            _end(end.code)
        raise
    except BaseException:
        _end(1, traceback.format_exc())


def _end(exit_code: int, last_words: str = "") -> NoReturn:
    """Ends the process at once; at a normal exit MXNet would wait for all workers."""
    with contextlib.suppress(OSError):
        sys.stderr.write(last_words)
        sys.stdout.flush()
    os._exit(exit_code)


if __name__ == "__main__":
    main()
