"""Decodes and converts images on all cores, and writes them to a record file in their order.

OpenCV works without Python's global lock, so threads use every core.
"""

from __future__ import annotations

from collections import Counter, deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Generator, Iterable, Iterator, NamedTuple, Optional

import cv2

from mobilenet.data.record_file import RecordWriter
from mobilenet.errors import DataError
from mobilenet.packing.decoder_warnings import counted
from mobilenet.packing.image_order import Image
from mobilenet.packing.stored_image import Stored

# Number of images that a thread takes at a time: enough for little overhead, few enough for memory.
_CHUNK_IMAGES = 16
_CHUNK_BYTES = 1 << 20
_CHUNKS_PER_WORKER = 3

Convert = Callable[[str, bytes], Stored]


class Packed(NamedTuple):
    """The result for an image: the stored bytes, or why it cannot be stored."""

    image: Image
    stored: Optional[Stored]
    problem: str = ""


@dataclass
class Tally:
    """What was written.

    Attributes:
        num_per_label: Number of records of each label.
        oddities: Key, name and oddities of each unusual image.
        skipped: Name and problem of each image that was left out.
    """

    num_per_label: Counter[int] = field(default_factory=Counter)
    oddities: list[tuple[int, str, tuple[str, ...]]] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def convert_all(
    images: Iterable[Image], convert: Convert, num_workers: int, complaints: Counter[str]
) -> Generator[Packed, None, None]:
    """Converts images in parallel and gives them in their order.

    Few of them are in memory at any time. Leaving the iterator, in whatever way, ends the threads.

    Args:
        images: What to read; a file that cannot be read ends the work.
        convert: Takes name and content of a file; a `DataError` is the image's problem.
        num_workers: Number of threads.
        complaints: Gets what the decoders said, and how often.

    Raises:
        DataError: A file cannot be read.
    """
    cv2.setNumThreads(0)  # the threads work on different images
    pool = ThreadPoolExecutor(num_workers, thread_name_prefix="packing")
    pending: deque[Future[list[Packed]]] = deque()
    with counted() as said:
        try:
            for chunk in _chunks(images):
                pending.append(pool.submit(_convert_chunk, chunk, convert))
                if len(pending) > _CHUNKS_PER_WORKER * num_workers:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    complaints.update(said)


def write_records(
    items: Iterable[Packed], record_path: Path, index_path: Path, skip_bad: bool
) -> Tally:
    """Writes a record file and its index directly to the paths given; keys are 0, 1, 2, ...

    Raises:
        DataError: An image cannot be stored, and `skip_bad` does not leave it out.
    """
    tally = Tally()
    key = 0
    with RecordWriter(record_path, index_path) as writer:
        for image, stored, problem in items:
            if stored is None:
                if not skip_bad:
                    raise DataError(f"{image.name} {problem}; --skip-bad leaves such images out")
                tally.skipped.append((image.name, problem))
                continue
            if stored.oddities:
                tally.oddities.append((key, image.name, stored.oddities))
            writer.write(key, image.label, stored.image)
            tally.num_per_label[image.label] += 1
            key += 1
    return tally


def _chunks(images: Iterable[Image]) -> Iterator[list[Image]]:
    chunk: list[Image] = []
    size = 0
    for image in images:
        chunk.append(image)
        size += image.file.size
        if len(chunk) == _CHUNK_IMAGES or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _convert_chunk(images: list[Image], convert: Convert) -> list[Packed]:
    return [_convert(image, convert) for image in images]


def _convert(image: Image, convert: Convert) -> Packed:
    content = image.file.read()
    try:
        return Packed(image, convert(image.name, content))
    except DataError as error:
        return Packed(image, None, str(error))
    except MemoryError:
        raise DataError(f"{image.name}: there is not enough memory to decode it") from None
