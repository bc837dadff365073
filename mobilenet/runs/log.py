"""The log of a run: JSON records of events in a file, lines and a progress bar on the screen."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from mobilenet import files
from mobilenet.errors import UserError

# Without tqdm's own speed and remaining time, which `progress` shows more exactly. The bar takes
# the rest of the width.
_BAR_FORMAT = "{desc}: |{bar}| {n_fmt}/{total_fmt}{postfix}"


class RunLog:
    """Appends events to a file, and shows them on a stream.

    On a terminal the steps of an epoch are a progress bar, elsewhere lines.

    Args:
        path: Gets one JSON object per line: `event`, `time` in seconds since 1970, and its values.
        tensorboard: Folder for TensorBoard files, or None. They contain the numbers of all events
            that have a `step`.
        stream: By default standard error.

    Raises:
        UserError: TensorBoard's package is not installed.
    """

    def __init__(
        self, path: Path, tensorboard: Path | None = None, stream: TextIO | None = None
    ) -> None:
        self._board = None if tensorboard is None else tensorboard_writer()(str(tensorboard))
        self._stream = stream or sys.stderr
        self._bar: tqdm[Any] | None = None
        self._file = path.open("a+b", buffering=0)
        self._complete_last_line()

    def _complete_last_line(self) -> None:
        """Ends the last line, which a killed process may have left unfinished."""
        size = self._file.seek(0, 2)
        if size:
            self._file.seek(size - 1)
            if self._file.read(1) != b"\n":
                self._file.write(b"\n")

    def write(self, event: str, line: str, **values: Any) -> None:
        """Records an event and shows `line`."""
        self.record(event, **values)
        _show(line, self._stream)

    def warn(self, text: str) -> None:
        """Records and shows a `warning`."""
        self.write("warning", f"warning: {text}", text=text)

    def progress(self, line: str, short: str, **values: Any) -> None:
        """Records a `progress` event; shows `short` beside a bar, otherwise `line`."""
        self.record("progress", **values)
        if self._bar is not None and not self._bar.disable:
            self._bar.set_postfix_str(short)
        else:
            _show(f"{self._label}: {line}", self._stream)

    def record(self, event: str, **values: Any) -> None:
        """Records an event without showing it."""
        record = {"event": event, "time": round(time.time(), 3), **values}
        self._file.write(files.encoded(json.dumps(record, ensure_ascii=False)) + b"\n")
        if self._board is not None and "step" in values:
            for name, value in values.items():
                if isinstance(value, float):
                    self._board.add_scalar(f"{event}/{name}", value, values["step"])
            self._board.flush()

    def start_bar(self, label: str, total: int, done: int) -> None:
        """Starts a bar of `total` steps, of which `done` are finished."""
        self._label = label
        self._bar = tqdm(
            desc=label,
            total=total,
            initial=done,
            file=self._stream,
            disable=None,  # None means: unless it is a terminal
            leave=False,
            dynamic_ncols=True,
            bar_format=_BAR_FORMAT,
        )

    def advance_bar(self, short: str) -> None:
        """One step more; people see `short` beside the bar when it is next drawn."""
        if self._bar is not None:
            self._bar.set_postfix_str(short, refresh=False)
            self._bar.update()

    def stop_bar(self) -> None:
        """Removes the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def close(self) -> None:
        """Removes the bar and closes the files."""
        self.stop_bar()
        self._file.close()
        if self._board is not None:
            self._board.close()


class OtherRankLog(RunLog):
    """The log of a rank other than 0: writes no files, and shows only warnings."""

    def __init__(self, rank: int, nowhere: TextIO) -> None:
        super().__init__(Path(os.devnull), stream=nowhere)
        self._rank = rank

    def warn(self, text: str) -> None:
        """Shows a warning."""
        _show(f"warning: rank {self._rank}: {text}", sys.stderr)


def _show(line: str, stream: TextIO) -> None:
    """Writes a line above the bar, if there is one."""
    tqdm.write(files.encoded(line).decode(), file=stream)  # names of files need not be valid text


def tensorboard_writer() -> Any:
    """TensorBoardX's class that writes into a folder.

    Raises:
        UserError: The package is not installed.
    """
    try:
        from tensorboardX import SummaryWriter  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UserError(
            "log.tensorboard: the package tensorboardX is missing; install it, or the extra"
            " mobilenet-mxnet[tensorboard]"
        ) from error
    return SummaryWriter
