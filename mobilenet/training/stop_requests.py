"""Stop requests: a signal is noted, and the run stops between two batches, on every rank alike."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass
from typing import Iterable, Iterator, TypeVar

from mobilenet.distributed.group import Group
from mobilenet.distributed.noted_signals import noted_signals
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

    Exceptions are those of `noted_signals`.
    """
    request = StopRequest()

    def note(number: int) -> None:
        request.number = number

    with noted_signals(note, signal.SIG_DFL):
        yield request


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
