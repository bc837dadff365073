"""Stops a run after a signal, between two batches, on all ranks at the same step."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass
from typing import Iterable, Iterator, TypeVar

from mobilenet.distributed.group import Group
from mobilenet.distributed.noted_signals import noted_signals
from mobilenet.errors import DataError

Item = TypeVar("Item")

_UNREADABLE = 1 << 10  # larger than the numbers of signals; the ranks exchange both


@dataclass
class StopRequest:
    """The signal that requests a stop; None until there is one."""

    number: int | None = None


class StopRequestedError(Exception):
    """A stop was requested; no step is half done."""


class UnreadableError(Exception):
    """A rank cannot read its data; raised on all ranks, with no step half done."""


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Notes SIGTERM and the first Ctrl-C while the block runs; a second Ctrl-C ends the process.

    The exceptions are those of `noted_signals`.
    """
    request = StopRequest()

    def note(number: int) -> None:
        request.number = number

    with noted_signals(note, signal.SIG_DFL):
        yield request


def until_stopped(batches: Iterable[Item], stop: StopRequest, group: Group) -> Iterator[Item]:
    """The batches, the same number on every rank of `group`, until one rank has to stop.

    Raises:
        StopRequestedError: A rank has got a signal, which is then in `stop` on all ranks.
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
