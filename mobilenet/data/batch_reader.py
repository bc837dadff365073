"""Reads batches from a record file; threads decode and transform a few batches ahead.

OpenCV and NumPy release Python's global lock while they work, so that threads use every core.
Unlike processes they share the open file and all memory, and cannot outlive the process. The
content of a batch depends neither on their number nor on their timing.
"""

from __future__ import annotations

import math
import weakref
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Callable, Iterable, Iterator, NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from mobilenet.compat.environment import num_processors
from mobilenet.data.epoch_order import augmentation_draws, epoch_order
from mobilenet.data.eval_transforms import EvalTransform, Floats
from mobilenet.data.image_decoding import Encoded, Pixels
from mobilenet.data.training_augmentation import NUM_DRAWS, TrainTransform
from mobilenet.errors import DataError

# Number of batches that are read or wait ahead of the one that the consumer has.
_NUM_AHEAD = 2
# Number of images that a thread takes at a time: enough for few, large calls of libraries.
_MAX_CHUNK_SIZE = 32

Positions = npt.NDArray[np.int64]
BadRecords = dict[int, DataError]


class Records(Protocol):
    """A record file that several threads may read at the same time."""

    path: Path

    def __len__(self) -> int: ...

    def labelled_image(self, position: int) -> tuple[int, Encoded]:
        """Class and encoded image of a record."""

    def name(self, position: int) -> str:
        """What messages call a record, to follow `path`."""


class Batch(NamedTuple):
    """N records as input of the network.

    The arrays belong to the consumer: no later batch reuses their memory while they are in use.
    """

    data: Floats
    """(N, 3, H, W), normalised."""
    labels: npt.NDArray[np.int32]
    """(N,)"""
    positions: Positions
    """(N,), of the records in their file."""

    def pixels(self) -> Pixels:
        """Memory for the images before normalisation, (N, H, W, 3)."""
        size, _, height, width = self.data.shape
        return np.empty((size, height, width, 3), np.uint8)

    def rows(self, part: slice) -> Batch:
        """A slice of the records, as views."""
        return Batch(self.data[part], self.labels[part], self.positions[part])


class _BatchMemory:
    """Memory for batches, which is reused once there is no reference to a batch or a view of it.

    New memory is first filled with zeros by the system, which takes longer than writing a batch.
    """

    def __init__(self, max_size: int, size: tuple[int, int]) -> None:
        self._image_shape = (3, *size)
        self._num_values = max_size * math.prod(self._image_shape)
        self._free: deque[memoryview] = deque(maxlen=_NUM_AHEAD + 2)  # the consumer has up to two

    def batch(self, size: int) -> Batch:
        """A batch of `size` records with undefined values."""
        memory = self._free.pop() if self._free else np.empty(self._num_values, np.float32).data
        # Views in any library keep this array alive, which is the only owner of the memory.
        values = np.frombuffer(memory, np.float32)
        weakref.finalize(values, self._free.append, memory).atexit = False
        data = values[: size * math.prod(self._image_shape)].reshape(size, *self._image_shape)
        return Batch(data, np.empty(size, np.int32), np.empty(size, np.int64))


# Reads some rows of an order into a batch of the same size, and returns the replaced records.
_Fill = Callable[[range, Batch], BadRecords]


def _read_ahead(
    batches: Iterable[range], fill: _Fill, memory: _BatchMemory, num_workers: int
) -> Iterator[tuple[Batch, BadRecords]]:
    """The batches of the given rows, one after the other.

    However the consumer leaves the iterator, the threads end after their current images.
    """
    cv2.setNumThreads(1)  # each thread works on its own image
    num_threads = num_workers or num_processors()
    pool = ThreadPoolExecutor(num_threads, "reader")
    pending: deque[tuple[Batch, list[Future[BadRecords]]]] = deque()
    try:
        for rows in batches:
            batch = memory.batch(len(rows))
            size = min(_MAX_CHUNK_SIZE, max(1, -(-len(rows) // num_threads)))
            parts = [slice(start, start + size) for start in range(0, len(rows), size)]
            chunks = [pool.submit(fill, rows[part], batch.rows(part)) for part in parts]
            pending.append((batch, chunks))
            if len(pending) > _NUM_AHEAD:
                yield _completed(*pending.popleft())
        while pending:
            yield _completed(*pending.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _completed(batch: Batch, chunks: list[Future[BadRecords]]) -> tuple[Batch, BadRecords]:
    return batch, {p: error for chunk in chunks for p, error in chunk.result().items()}


def _read(
    records: Records, position: int, transform: Callable[[Encoded], Pixels]
) -> tuple[Pixels, int]:
    """The transformed image of a record, and its label."""
    label, image = records.labelled_image(position)
    try:
        return transform(image), label
    except (DataError, cv2.error) as error:
        raise DataError(f"{records.path}: {records.name(position)}: {error}") from error


def _from(order: Positions, row: int) -> Iterator[int]:
    """The positions from a row of the order on, cyclically."""
    for step in range(len(order)):
        yield int(order[(row + step) % len(order)])


@dataclass
class TrainReader:
    """Shuffled and augmented batches of the training records.

    An epoch is a permutation of the records (`mobilenet.data.epoch_order`), cut into
    `steps_per_epoch` batches; the few records that are left over differ between epochs. In a
    distributed run each process takes its part of every batch. Together they read the same records,
    augmented in the same way, as one process with a batch `world` times as large.

    A record that cannot be read or decoded is replaced by the next one of the permutation.

    Attributes:
        records: The record file.
        transform: The augmentation of each image.
        batch_size: Number of images per batch of this process.
        seed: Determines, with the epoch, order and augmentation.
        num_workers: Number of threads; 0 for one per processor.
        rank: Number of this process, from 0.
        world: Number of processes.
        max_bad_records: Number of records that may be replaced in an epoch before reading stops.
        bad_records: Position and error of every record that has been replaced so far.
        steps_per_epoch: Number of batches per epoch, the same in every process.

    Raises:
        DataError: There are fewer records than one step needs.
    """

    records: Records
    transform: TrainTransform
    batch_size: int
    seed: int
    num_workers: int = 0
    rank: int = 0
    world: int = 1
    max_bad_records: int = 0
    bad_records: BadRecords = field(default_factory=dict, init=False)
    steps_per_epoch: int = field(init=False)
    _memory: _BatchMemory = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._memory = _BatchMemory(self.batch_size, (self.transform.resolution,) * 2)
        global_batch_size = self.batch_size * self.world
        self.steps_per_epoch = len(self.records) // global_batch_size
        if not self.steps_per_epoch:
            raise DataError(
                f"{self.records.path}: {len(self.records)} records do not fill one batch of "
                f"{global_batch_size}; the batch must be smaller"
            )
        # At least one record must be good.
        self.max_bad_records = min(self.max_bad_records, len(self.records) - 1)

    def batches(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from step `first_step` on; both count from 0.

        Raises:
            DataError: More than `max_bad_records` records cannot be read or decoded.
        """
        order = epoch_order(len(self.records), self.seed, epoch)
        starts = (
            (step * self.world + self.rank) * self.batch_size
            for step in range(first_step, self.steps_per_epoch)
        )
        rows = (range(start, start + self.batch_size) for start in starts)
        fill = partial(self._fill, epoch, order)
        bad_records: BadRecords = {}
        for batch, found in _read_ahead(rows, fill, self._memory, self.num_workers):
            bad_records.update(found)
            self.bad_records.update(found)
            self._check(bad_records)
            yield batch

    def _fill(self, epoch: int, order: Positions, rows: range, batch: Batch) -> BadRecords:
        drawn_for = order[rows.start : rows.stop]
        draws = augmentation_draws(self.seed, epoch, drawn_for, NUM_DRAWS)
        pixels = batch.pixels()
        bad_records: BadRecords = {}
        for i, augmentation in enumerate(self.transform.augmentations(draws)):
            transform = partial(self.transform.pixels, augmentation=augmentation, out=pixels[i])
            for position in _from(order, rows[i]):
                try:
                    _, batch.labels[i] = _read(self.records, position, transform)
                    batch.positions[i] = position
                    break
                except DataError as error:
                    bad_records[position] = error
                    if len(bad_records) > self.max_bad_records:
                        return bad_records
        self.transform.normalization.of_bgr(pixels, batch.data)
        return bad_records

    def _check(self, bad_records: BadRecords) -> None:
        # Not in the threads, so that the error is always about the same record.
        if len(bad_records) > self.max_bad_records:
            error = list(bad_records.values())[self.max_bad_records]
            raise DataError(
                f"{error}; {self.max_bad_records} bad records may be replaced in an epoch"
            ) from error


@dataclass
class EvalReader:
    """Batches with every record exactly once, in order; the last batch may be smaller.

    In a distributed run each process takes its part of every batch. All have the same number of
    batches; in the last one some processes may have no records.

    Attributes:
        records: The record file.
        transform: The preprocessing of each image.
        batch_size: Number of images per batch of this process, except for the last batch.
        num_workers: Number of threads; 0 for one per processor.
        rank: Number of this process, from 0.
        world: Number of processes.
    """

    records: Records
    transform: EvalTransform
    batch_size: int
    num_workers: int = 0
    rank: int = 0
    world: int = 1
    _memory: _BatchMemory = field(init=False, repr=False)

    def __post_init__(self) -> None:
        max_size = min(self.batch_size, len(self.records))
        self._memory = _BatchMemory(max_size, self.transform.size)

    def batches(self) -> Iterator[Batch]:
        """The batches of one pass.

        Raises:
            DataError: A record cannot be read or decoded.
        """
        everything = range(len(self.records))
        size = self.batch_size * self.world
        rows = (
            everything[start : start + size][self.rank :: self.world]
            for start in everything[::size]
        )
        for batch, _ in _read_ahead(rows, self._fill, self._memory, self.num_workers):
            yield batch

    def _fill(self, rows: range, batch: Batch) -> BadRecords:
        pixels = batch.pixels()
        for i, position in enumerate(rows):
            pixels[i], batch.labels[i] = _read(self.records, position, self.transform.pixels)
        self.transform.normalization.of_bgr(pixels, batch.data)
        batch.positions[:] = rows
        return {}
