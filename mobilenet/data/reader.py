"""Batches of a record file, decoded and transformed by threads.

OpenCV and NumPy release Python's global lock while they decode and transform, so threads use every
core, share the record file and cannot outlive the process.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Callable, Iterator, NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from mobilenet.data.augment import TrainTransform
from mobilenet.data.order import augmentation_draws, epoch_order
from mobilenet.data.transforms import Encoded, EvalTransform, Floats
from mobilenet.errors import DataError

_NUM_PREFETCHED = 3
_CHUNK_SIZE = 16

Positions = npt.NDArray[np.int64]


class Records(Protocol):
    """What a reader needs of a record file; its methods are called by several threads at once."""

    def __len__(self) -> int: ...

    def label(self, position: int, /) -> int:
        """The class of a record."""

    def image(self, position: int, /) -> Encoded:
        """The encoded image of a record."""


class Batch(NamedTuple):
    """N images as the network takes them, with their labels and positions in the record file."""

    data: Floats  # (N, 3, H, W)
    labels: npt.NDArray[np.int32]
    positions: Positions


class _Pending(NamedTuple):
    batch: Batch
    chunks: list[Future[list[DataError]]]


FillChunk = Callable[[Batch], "list[DataError]"]


def _read_ahead(
    slots: Iterator[Positions], resolution: int, fill: FillChunk, num_workers: int
) -> Iterator[tuple[Batch, list[DataError]]]:
    """Batches of the given records in order, filled by threads a few batches ahead.

    Leaving the iterator, in whatever way, ends the threads.
    """
    cv2.setNumThreads(0)  # the threads work on different images
    pool = ThreadPoolExecutor(num_workers or os.cpu_count(), thread_name_prefix="reader")
    pending: deque[_Pending] = deque()
    try:
        for positions in slots:
            pending.append(_start(pool, positions, resolution, fill))
            if len(pending) > _NUM_PREFETCHED:
                yield _finish(pending.popleft())
        while pending:
            yield _finish(pending.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start(
    pool: ThreadPoolExecutor, positions: Positions, resolution: int, fill: FillChunk
) -> _Pending:
    size = len(positions)
    data = np.empty((size, 3, resolution, resolution), np.float32)
    batch = Batch(data, np.empty(size, np.int32), positions.copy())
    slices = [slice(start, start + _CHUNK_SIZE) for start in range(0, size, _CHUNK_SIZE)]
    chunks = [Batch(data[part], batch.labels[part], batch.positions[part]) for part in slices]
    return _Pending(batch, [pool.submit(fill, chunk) for chunk in chunks])


def _finish(pending: _Pending) -> tuple[Batch, list[DataError]]:
    return pending.batch, [error for chunk in pending.chunks for error in chunk.result()]


@dataclass
class TrainReader:
    """Shuffled, augmented batches of one process among `world`."""

    records: Records
    transform: TrainTransform
    batch_size: int
    seed: int
    num_workers: int = 0
    rank: int = 0
    world: int = 1
    max_bad_records: int = 0

    def __post_init__(self) -> None:
        self.steps_per_epoch = len(self.records) // (self.batch_size * self.world)
        if not self.steps_per_epoch:
            raise DataError(
                f"{len(self.records)} records do not fill one batch of "
                f"{self.batch_size * self.world}; make the batch smaller"
            )

    def batches(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from `first_step` on."""
        order = epoch_order(len(self.records), self.seed, epoch)

        def fill(chunk: Batch) -> list[DataError]:
            draws = augmentation_draws(
                self.seed, epoch, chunk.positions, self.transform.num_draws
            ).tolist()
            for i, position in enumerate(chunk.positions.tolist()):
                self.transform(self.records.image(position), iter(draws[i]), chunk.data[i])
                chunk.labels[i] = self.records.label(position)
            return []

        starts = range(first_step, self.steps_per_epoch)
        slots = (self._slice(order, step) for step in starts)
        for batch, _errors in _read_ahead(slots, self.transform.resolution, fill, self.num_workers):
            yield batch

    def _slice(self, order: Positions, step: int) -> Positions:
        start = (step * self.world + self.rank) * self.batch_size
        return order[start : start + self.batch_size]


@dataclass
class EvalReader:
    """Every record once, in the order of the file; the last batch is as small as it comes."""

    records: Records
    transform: EvalTransform
    batch_size: int
    num_workers: int = 0

    def batches(self) -> Iterator[Batch]:
        """The batches of one pass."""

        def fill(chunk: Batch) -> list[DataError]:
            for i, position in enumerate(chunk.positions.tolist()):
                self.transform(self.records.image(position), chunk.data[i])
                chunk.labels[i] = self.records.label(position)
            return []

        everything = np.arange(len(self.records), dtype=np.int64)
        slots = (
            everything[start : start + self.batch_size]
            for start in range(0, len(everything), self.batch_size)
        )
        for batch, _errors in _read_ahead(slots, self.transform.resolution, fill, self.num_workers):
            yield batch
