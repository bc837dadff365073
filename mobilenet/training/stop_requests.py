"""Stop requests: a signal is noted, and the run stops between two batches, on every rank alike."""

from __future__ import annotations

import contextlib
import signal
import threading
from dataclasses import dataclass
from types import FrameType
from typing import Iterable, Iterator, TypeVar

from mobilenet.distributed.group import Group
from mobilenet.errors import DataError

Item = TypeVar("Item")

_UNREADABLE = 1 << 10  # above the numbers of signals, with which the ranks agree on it


@dataclass
class StopRequest:
    """The signal that asks the run to stop, once there is one."""

    number: int | None = None


class StopRequestedError(Exception):
    """A signal was noted; no step is half done."""


class UnreadableError(Exception):
    """A rank cannot read its data, and all of them know it; no step is half done."""


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Notes SIGTERM and the first Ctrl-C while the block runs; a second Ctrl-C ends the process.

    Where Ctrl-C is ignored, as in a job that a script starts in the background, it stays ignored.
    Outside of the main thread, where Python handles no signals, nothing is noted.
    """
    request = StopRequest()
    numbers = {signal.SIGTERM}
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        numbers.add(signal.SIGINT)

    def note(number: int, _frame: FrameType | None) -> None:
        request.number = number
        if signal.SIGINT in numbers:
            # The system's own handling: a second one ends the process wherever it is.
            signal.signal(signal.SIGINT, signal.SIG_DFL)

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def until_stopped(batches: Iterable[Item], stop: StopRequest, group: Group) -> Iterator[Item]:
    """The batches, as many on every rank of `group`, until one of them has to stop.

    Raises:
        StopRequestedError: A stop was requested of a rank; `stop` knows the signal on all of them.
        UnreadableError: A rank cannot read its next batch.
    """
    try:
        for batch in batches:
            number = int(group.highest(stop.number or 0))
            if number == _UNREADABLE:
                raise UnreadableError("another process cannot read its records")
            if number:
                stop.number = number
                raise StopRequestedError
            yield batch
    except DataError as error:
        group.highest(_UNREADABLE)
        raise UnreadableError(error) from error
