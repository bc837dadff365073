"""Measures images per second, and the fraction of the time spent waiting for data."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Callable, Generator, Iterator, NamedTuple, TypeVar

T = TypeVar("T")


class Speed(NamedTuple):
    """Images per second, and the fraction of the time spent waiting for data."""

    images_per_second: float
    data_wait: float


@dataclass
class Meter:
    """Measures the speed between two calls of `read`.

    Attributes:
        clock: Returns seconds.
    """

    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._restart()

    def _restart(self) -> None:
        self._start, self._wait_seconds, self._num_images = self.clock(), 0.0, 0

    def timed(self, batches: Iterator[T]) -> Generator[T, None, None]:
        """The same batches; measures the time spent waiting for them."""
        while True:
            asked = self.clock()
            batch = next(batches, None)
            self._wait_seconds += self.clock() - asked
            if batch is None:
                return
            yield batch

    def add(self, num_images: int) -> None:
        """Counts trained images."""
        self._num_images += num_images

    def so_far(self) -> Speed:
        """The speed since the last reading, which goes on."""
        seconds = max(self.clock() - self._start, 1e-9)
        return Speed(self._num_images / seconds, self._wait_seconds / seconds)

    def read(self) -> Speed:
        """The speed since the last reading."""
        speed = self.so_far()
        self._restart()
        return speed
