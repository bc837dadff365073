"""Notes SIGTERM and Ctrl-C, so that a process can stop where nothing is half done."""

from __future__ import annotations

import contextlib
import signal
import threading
from types import FrameType
from typing import Any, Callable, Iterator


@contextlib.contextmanager
def noted_signals(note: Callable[[int], object], second_interrupt: Any) -> Iterator[None]:
    """Calls `note` with SIGTERM and the first Ctrl-C while the block runs.

    Where Ctrl-C is ignored, as in a background job of a script, it stays ignored. Outside the main
    thread, where Python handles no signals, nothing is noted.

    Args:
        note: Takes the number of the signal.
        second_interrupt: Handles Ctrl-C after the first signal, as `signal.signal` takes it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = {signal.SIGTERM}
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        numbers.add(signal.SIGINT)

    def handle(number: int, _frame: FrameType | None) -> None:
        note(number)
        if signal.SIGINT in numbers:
            signal.signal(signal.SIGINT, second_interrupt)

    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
