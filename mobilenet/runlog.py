"""The log of a run: one JSON record per event in a file, and a line for people."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, Optional, TextIO

from tqdm import tqdm


class RunLog:
    """Appends events to the file at `path`; shows lines and a progress bar on `stream`.

    On a terminal the steps of an epoch are a bar; elsewhere only lines are written, so that a file
    of captured output stays readable.
    """

    def __init__(self, path: Path, stream: Optional[TextIO] = None) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._stream = stream or sys.stderr
        self._bar: Optional[tqdm[Any]] = None

    def write(self, event: str, line: str = "", **values: Any) -> None:
        """Records an event with its values; `line` is what people see of it."""
        record = {"event": event, "time": round(time.time(), 3), **values}
        self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
        self._file.flush()
        if line:
            tqdm.write(line, file=self._stream)

    def start_bar(self, total: int, done: int, label: str) -> None:
        """Begins a progress bar of `total` steps of which `done` are over."""
        self._bar = tqdm(
            total=total,
            initial=done,
            desc=label,
            file=self._stream,
            disable=None,  # tqdm's value for: only on a terminal
            leave=False,
        )

    def advance(self, status: str = "") -> None:
        """One step more on the bar, with the status beside it."""
        if self._bar is not None:
            if status:
                self._bar.set_postfix_str(status, refresh=False)
            self._bar.update()

    def stop_bar(self) -> None:
        """Removes the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def close(self) -> None:
        """Removes the bar and closes the file."""
        self.stop_bar()
        self._file.close()
