"""Stop requests: SIGTERM and Ctrl-C are noted, so that a run can save itself before it ends."""

from __future__ import annotations

import contextlib
import signal
import threading
from dataclasses import dataclass
from types import FrameType
from typing import Iterator


@dataclass
class StopRequest:
    """The signal that asks the run to stop, once there is one."""

    number: int | None = None


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Notes SIGTERM and the first Ctrl-C while the block runs; a second Ctrl-C ends the process.

    Outside of the main thread, where Python handles no signals, nothing is noted.
    """
    request = StopRequest()

    def note(number: int, _frame: FrameType | None) -> None:
        request.number = number
        # The system's own handling: a second one ends the process wherever it is.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
