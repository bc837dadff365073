"""Speed and waiting by a clock that the test turns."""

from __future__ import annotations

from typing import Iterator

import pytest

from mobilenet.runs.throughput import Meter


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_speed_and_waiting_since_the_last_reading() -> None:
    clock = Clock()
    meter = Meter(clock)

    def batches() -> Iterator[int]:
        for size in (10, 20, 30):
            clock.seconds += 1  # the wait
            yield size
        clock.seconds += 0.5

    for size in meter.timed(batches()):
        clock.seconds += 3  # the work
        meter.add(size)
        if size == 20:
            speed = meter.read()
            assert speed.images_per_second == pytest.approx(30 / 8)
            assert speed.data_wait == pytest.approx(2 / 8)
    speed = meter.read()
    assert speed.images_per_second == pytest.approx(30 / 4.5)
    assert speed.data_wait == pytest.approx(1.5 / 4.5)


def test_leaving_early_closes_the_batches() -> None:
    closed = []

    def batches() -> Iterator[int]:
        try:
            yield from (1, 2)
        finally:
            closed.append(True)

    timed = Meter().timed(batches())
    assert next(timed) == 1
    timed.close()
    assert closed
