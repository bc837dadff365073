"""Parallel conversion keeps the order, little in memory, and ends with its reason."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Iterator

import pytest

from mobilenet.errors import DataError
from mobilenet.packing.folder_trees import File, file_at
from mobilenet.packing.image_order import Image
from mobilenet.packing.record_writing import convert_all
from mobilenet.packing.stored_image import Stored


@pytest.fixture
def file(tmp_path: Path) -> File:
    (tmp_path / "x").write_bytes(bytes(5000))
    return file_at(tmp_path / "x")


def images(file: File, number: int) -> list[Image]:
    return [Image(str(i), i, file) for i in range(number)]


def unchanged(name: str, image: bytes) -> Stored:
    return Stored(image, ())


def packing_threads() -> int:
    return sum(thread.name.startswith("packing") for thread in threading.enumerate())


@pytest.mark.parametrize("num_workers", [1, 2, 5])
def test_order_is_kept(num_workers: int, file: File) -> None:
    delays = random.Random(0)

    def slow(name: str, image: bytes) -> Stored:
        time.sleep(delays.random() / 500)
        return Stored(name.encode(), ())

    found = list(convert_all(images(file, 300), slow, num_workers, Counter()))
    assert [int(item.stored.image) for item in found if item.stored] == list(range(300))
    assert packing_threads() == 0


def test_little_is_read_ahead(file: File) -> None:
    num_taken = 0

    def taken() -> Iterator[Image]:
        nonlocal num_taken
        for image in images(file, 2000):
            num_taken += 1
            yield image

    for num_given, _ in enumerate(convert_all(taken(), unchanged, 2, Counter()), 1):
        assert num_taken - num_given <= 16 * (3 * 2 + 1)
    assert num_given == 2000


def test_large_images_are_read_ahead_by_their_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(3 << 20))
    file = file_at(tmp_path / "x")
    num_taken = 0

    def taken() -> Iterator[Image]:
        nonlocal num_taken
        for image in images(file, 40):
            num_taken += 1
            yield image

    for num_given, _ in enumerate(convert_all(taken(), unchanged, 2, Counter()), 1):
        assert num_taken - num_given <= 3 * 2 + 1


@pytest.mark.parametrize(
    ("failure", "raised", "message"),
    [
        (MemoryError(), DataError, "70: there is not enough memory to decode it"),
        (RuntimeError("a defect"), RuntimeError, "a defect"),
    ],
)
def test_a_failing_worker_ends_the_work_with_its_reason(
    failure: Exception, raised: type[Exception], message: str, file: File
) -> None:
    def failing(name: str, image: bytes) -> Stored:
        if name == "70":
            raise failure
        return Stored(image, ())

    given = []
    with pytest.raises(raised, match=message):
        given.extend(convert_all(images(file, 500), failing, 2, Counter()))
    assert packing_threads() == 0


def test_a_file_that_cannot_be_read_ends_the_work(file: File) -> None:
    several = images(file, 50)
    several[20] = Image("20", 0, File("/absent/file.jpg", 0, 5))
    with pytest.raises(DataError, match=r"/absent/file\.jpg: cannot be read: No such file"):
        list(convert_all(several, unchanged, 2, Counter()))
    assert packing_threads() == 0


def test_leaving_early_ends_the_threads(file: File) -> None:
    items = convert_all(images(file, 500), unchanged, 2, Counter())
    next(items)
    assert packing_threads() > 0
    items.close()
    assert packing_threads() == 0
