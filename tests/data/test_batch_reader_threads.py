"""The readers' threads and memory: gone, or used again, when nobody needs them any more."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Callable

import numpy as np
import pytest
from small_records import (
    AUGMENTATION,
    NUM_RECORDS,
    PREPROCESSING,
    image_of,
    record_file,
    train_reader,
)

from mobilenet.data.batch_reader import EvalReader, TrainReader
from mobilenet.data.eval_transforms import EvalTransform
from mobilenet.data.record_file import RecordFile
from mobilenet.data.training_augmentation import TrainTransform


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> RecordFile:
    path = tmp_path_factory.mktemp("records") / "train.rec"
    return record_file(path, [image_of(position) for position in range(NUM_RECORDS)])


class Faulty:
    """Records one of which fails in a way that nobody foresaw, or that take their time."""

    def __init__(self, records: RecordFile, before: Callable[[int], object]) -> None:
        self.path, self._records, self._before = records.path, records, before

    def __len__(self) -> int:
        return len(self._records)

    def labelled_image(self, position: int) -> tuple[int, memoryview]:
        self._before(position)
        return self._records.labelled_image(position)

    def name(self, position: int) -> str:
        return self._records.name(position)


def reader_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("reader")]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> None:
    assert not reader_threads()


class TestThreads:
    def test_end_with_the_epoch(self, records: RecordFile) -> None:
        batches = train_reader(records, num_workers=4).batches(0)
        next(batches)
        assert 0 < len(reader_threads()) <= 4
        list(batches)
        assert not reader_threads()

    def test_end_with_close(self, records: RecordFile) -> None:
        batches = EvalReader(records, PREPROCESSING, 4, 3).batches()
        next(batches)
        batches.close()
        assert not reader_threads()

    def test_end_with_the_consumers_exception(self, records: RecordFile) -> None:
        def consume() -> None:
            for _ in train_reader(records, num_workers=3).batches(0):
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            consume()
        assert not reader_threads()

    def test_end_when_forgotten(self, records: RecordFile) -> None:
        batches = train_reader(records, num_workers=3).batches(0)
        next(batches)
        del batches
        gc.collect()
        assert not reader_threads()

    def test_end_when_interrupted_with_the_images_in_their_hands(self, records: RecordFile) -> None:
        read: list[int] = []

        def slowly(position: int) -> None:
            read.append(position)
            time.sleep(0.2)

        reader = TrainReader(Faulty(records, slowly), AUGMENTATION, 8, 0, num_workers=4)
        batches = reader.batches(0)
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            next(batches)
        timer.join()
        assert not reader_threads()
        assert len(read) <= 8  # each thread had begun with two images; four times as many waited

    def test_end_with_the_process(self, records: RecordFile) -> None:
        """An iterator that is still open must not keep the interpreter from ending."""
        program = (
            "import sys; from pathlib import Path; from small_records import *\n"
            "batches = train_reader(RecordFile(Path(sys.argv[1])), num_workers=4).batches(0)\n"
            "next(batches)"
        )
        command = [sys.executable, "-c", program, str(records.path)]
        subprocess.run(
            command, cwd=Path(__file__).parent.parent / "helpers", check=True, timeout=60
        )

    def test_hand_over_unforeseen_exceptions(self, records: RecordFile) -> None:
        def fail(position: int) -> None:
            if position == 11:
                raise ZeroDivisionError("unforeseen")

        reader = TrainReader(Faulty(records, fail), AUGMENTATION, 8, 0, max_bad_records=9)
        with pytest.raises(ZeroDivisionError, match="unforeseen"):
            list(reader.batches(0))
        assert not reader_threads()

    def test_read_no_more_than_three_batches_ahead(self, records: RecordFile) -> None:
        read: list[int] = []
        reader = TrainReader(Faulty(records, read.append), AUGMENTATION, 8, 0, num_workers=2)
        batches = reader.batches(0)
        next(batches)
        time.sleep(0.5)
        assert len(read) == 24
        batches.close()


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class TestMemory:
    def test_of_held_batches_and_views_is_not_used_again(self, records: RecordFile) -> None:
        reader = train_reader(records, batch_size=4)
        expected = [batch.data.copy() for epoch in range(3) for batch in reader.batches(epoch)]
        held = [batch.data[1:2, ::2] for epoch in range(3) for batch in reader.batches(epoch)]
        for view, data in zip(held, expected):
            np.testing.assert_array_equal(view, data[1:2, ::2])

    def test_of_released_batches_is_used_again(self, records: RecordFile) -> None:
        reader, addresses, takers = train_reader(records, batch_size=2), set(), []
        for batch in reader.batches(0):
            addresses.add(batch.data.ctypes.data)
            # Takes what is given back, so that only the reader's own memory can come again.
            takers.append(np.empty(batch.data.size, np.float32))
        assert len(addresses) <= 6  # of 26 batches

    def test_of_many_held_batches_is_given_back(self, records: RecordFile) -> None:
        reader, before = EvalReader(records, EvalTransform(resolution=256), 53), resident_bytes()
        held = [batch.data for _ in range(9) for batch in reader.batches()]
        batch_bytes, with_all = held[0].nbytes, resident_bytes()
        assert with_all - before > 8 * batch_bytes
        held.clear()
        # The reader keeps four of the nine.
        assert with_all - resident_bytes() > 4.5 * batch_bytes

    def test_is_flat_over_epochs(self, records: RecordFile) -> None:
        """20 epochs of 3 batches of 10 MB, of which nothing may stay."""
        reader = TrainReader(records, TrainTransform(224), 16, 0)
        after = []
        for epoch in range(20):
            for batch in reader.batches(epoch):
                assert len(batch.data) == 16
            after.append(resident_bytes())
        assert after[-1] - after[2] < 10e6
        assert max(after) - after[2] < 20e6
