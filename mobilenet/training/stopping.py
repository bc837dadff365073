"""Where a run may end: between two batches, on every rank alike."""

from __future__ import annotations

from typing import Iterable, Iterator, TypeVar

from mobilenet.distributed.group import Group
from mobilenet.errors import DataError
from mobilenet.training.signals import StopRequest

Item = TypeVar("Item")

_UNREADABLE = 1 << 10  # above the numbers of signals, with which the ranks agree on it


class StopRequestedError(Exception):
    """A signal was noted; no step is half done."""


class UnreadableError(Exception):
    """A rank cannot read its data, as all of them know; no step is half done."""


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
