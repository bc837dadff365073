"""RecordIO, the record files of MXNet: writing, reading by position, walking without an index.

A record file is a row of parts: the magic word, a word of 3 bits kind and 29 bits length, the
bytes, and zeros up to a multiple of 4. A record is one whole part, or, where its bytes hold the
magic word at a multiple of 4, several parts between which that word is left out. The bytes of a
record are an image header and the encoded image. An index is a text of `key<TAB>offset` lines.

Sources: dmlc-core `include/dmlc/recordio.h` and `src/recordio.cc` (parts), MXNet
`python/mxnet/recordio.py` (image header `IRHeader`, index).
"""

from __future__ import annotations

import os
import re
import struct
import weakref
from pathlib import Path
from typing import Iterator, NamedTuple

import numpy as np
import numpy.typing as npt

from mobilenet.errors import DataError

_MAGIC = struct.pack("<I", 0xCED7230A)
_PART = struct.Struct("<4sI")
_LENGTH_BITS = 29
_MAX_RECORD_BYTES = (1 << _LENGTH_BITS) - 1
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)

_IMAGE_HEADER = struct.Struct("<IfQQ")  # length of an array label (0: none), label, id, second id
_FLOAT = struct.Struct("<f")
_MAX_LABEL = 1 << 24  # beyond it float32 skips integers
# Enough for nearly every image at once; larger ones, and records cut in parts, are read again.
_READ_AHEAD_BYTES = 1 << 20


class CorruptRecord(DataError):
    """A record that cannot be read as one.

    Attributes:
        path: The record file.
        position: Of the record, in the order of the index (or of the file, in `scan`), from 0.
        offset: The byte at which the record starts.
        problem: What is wrong with it.
    """

    def __init__(self, path: Path, position: int, offset: int, problem: str) -> None:
        super().__init__(path, position, offset, problem)
        self.path, self.position, self.offset, self.problem = path, position, offset, problem

    def __str__(self) -> str:
        return f"{self.path}: record {self.position} at byte {self.offset} {self.problem}"


class Entry(NamedTuple):
    """One record of a file: where it starts, its header's key and label, its image's size."""

    offset: int
    key: int
    label: int
    image_bytes: int


class _Header(NamedTuple):
    key: int
    label: int
    image_start: int


def pack(key: int, label: int, image: bytes) -> bytes:
    """The bytes of a record: image header with a single label, then the encoded `image`."""
    return _IMAGE_HEADER.pack(0, label, key, 0) + image


class RecordWriter:
    """Writes a record file and its index, record after record; a context manager.

    The paths are written to directly: give those of `mobilenet.files.replaced`.
    """

    def __init__(self, record_path: Path, index_path: Path) -> None:
        self._records = record_path.open("wb")
        self._index = index_path.open("w", encoding="ascii", newline="\n")

    def write(self, key: int, label: int, image: bytes) -> None:
        """Appends one record.

        Raises:
            DataError: The image is larger than the format allows, 512 MiB.
        """
        payload = pack(key, label, image)
        if len(payload) > _MAX_RECORD_BYTES:
            raise DataError(f"image {key} has {len(image)} bytes; a record holds 512 MiB at most")
        self._index.write(f"{key}\t{self._records.tell()}\n")
        for part in _parts(payload):
            self._records.write(part)

    def close(self) -> None:
        """Completes both files."""
        self._records.close()
        self._index.close()

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _parts(payload: bytes) -> Iterator[bytes]:
    """The payload as it stands in the file, cut at every aligned magic word."""
    start = 0
    for match in re.finditer(re.escape(_MAGIC), payload):
        cut = match.start()
        if cut % 4 == 0:
            yield _part_head(_MIDDLE if start else _FIRST, cut - start) + payload[start:cut]
            start = cut + len(_MAGIC)
    yield _part_head(_LAST if start else _WHOLE, len(payload) - start) + payload[start:]
    yield bytes(-len(payload) % 4)


def _part_head(kind: int, length: int) -> bytes:
    return _PART.pack(_MAGIC, kind << _LENGTH_BITS | length)


class _Source:
    """The bytes of a record file, read without trusting any number found in it.

    `os.pread` and not a memory map: threads and forked processes share no position either way,
    but a disk error, or a file that somebody cuts short, ends a mapped read with a signal.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            descriptor = os.open(path, os.O_RDONLY)
            self.close = weakref.finalize(self, os.close, descriptor)
            self._descriptor = descriptor
            self.size = os.fstat(descriptor).st_size
            os.pread(descriptor, 1, 0)
        except OSError as error:
            raise DataError(f"{path}: cannot read the record file: {error.strerror}") from None
        if not self.size:
            raise DataError(f"{path}: the record file is empty; prepare it again")

    def read(self, position: int, offset: int, count: int) -> bytes:
        """`count` bytes from `offset`, fewer at the end of the file."""
        if not self.close.alive:
            raise DataError(f"{self.path}: the record file is closed")
        try:
            return os.pread(self._descriptor, count, offset)
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
            raise CorruptRecord(self.path, position, offset, problem) from None

    def extents(self, position: int, start: int) -> Iterator[tuple[int, int]]:
        """Offset and length of the bytes of each part of the record at `start`."""
        kinds: tuple[int, ...] = (_WHOLE, _FIRST)
        offset, total = start, 0
        while kinds:
            head = self.read(position, offset, _PART.size)
            if len(head) < _PART.size:
                raise CorruptRecord(self.path, position, start, "is cut short by the file's end")
            magic, word = _PART.unpack(head)
            kind, length = word >> _LENGTH_BITS, word & _MAX_RECORD_BYTES
            total += length
            if magic != _MAGIC or kind not in kinds or total > _MAX_RECORD_BYTES:
                problem = f"has no valid part head at byte {offset}"
                raise CorruptRecord(self.path, position, start, problem)
            offset += _PART.size
            if offset + _padded(length) > self.size:
                raise CorruptRecord(self.path, position, start, "is cut short by the file's end")
            yield offset, length
            offset += _padded(length)
            kinds = () if kind in (_WHOLE, _LAST) else (_MIDDLE, _LAST)

    def payload(self, position: int, start: int, read_ahead: int) -> bytes:
        """Image header and image of the record at `start`."""
        block = self.read(position, start, read_ahead)
        if block[: len(_MAGIC)] == _MAGIC and len(block) >= _PART.size:
            word = _PART.unpack_from(block)[1]  # of a whole part, whose kind is 0, the length
            if _PART.size + _padded(word) <= len(block):
                return block[_PART.size : _PART.size + word]
        pieces = []
        for offset, length in self.extents(position, start):
            piece = self.read(position, offset, length)
            if len(piece) < length:
                raise CorruptRecord(self.path, position, start, "is cut short by the file's end")
            pieces.append(piece)
        return _MAGIC.join(pieces)

    def header(self, position: int, start: int, beginning: bytes, length: int) -> _Header:
        """The image header of a record of `length` bytes, from at least its first 28."""
        if length < _IMAGE_HEADER.size:
            raise CorruptRecord(self.path, position, start, "is too short for an image header")
        num_labels, label, key, _ = _IMAGE_HEADER.unpack_from(beginning)
        image_start = _IMAGE_HEADER.size + num_labels * _FLOAT.size
        if image_start > length:
            problem = f"is too short for the {num_labels} labels it announces"
            raise CorruptRecord(self.path, position, start, problem)
        if num_labels:
            (label,) = _FLOAT.unpack_from(beginning, _IMAGE_HEADER.size)
        if not (label.is_integer() and 0 <= label <= _MAX_LABEL):
            problem = f"has the label {label:g}, which is no class number"
            raise CorruptRecord(self.path, position, start, problem)
        return _Header(key, int(label), image_start)

    def entry(self, position: int, start: int) -> tuple[Entry, int]:
        """What the header of the record at `start` says, and where the record ends."""
        extents = list(self.extents(position, start))
        length = sum(part for _, part in extents) + len(_MAGIC) * (len(extents) - 1)
        if len(extents) == 1:
            beginning = self.read(position, extents[0][0], _IMAGE_HEADER.size + _FLOAT.size)
        else:
            beginning = self.payload(position, start, 0)
        header = self.header(position, start, beginning, length)
        end = extents[-1][0] + _padded(extents[-1][1])
        return Entry(start, header.key, header.label, length - header.image_start), end


def _padded(length: int) -> int:
    return length + -length % 4


class RecordFile:
    """A record file and its index, read by position in the index.

    Threads may read at the same time; a forked process may go on reading; pickling keeps only
    the paths.

    Attributes:
        keys: (N,) int64, in the order of the index.
        offsets: (N,) int64, the byte at which each record starts.

    Raises:
        DataError: A file is missing, unreadable or empty, or the index is malformed or does not
            fit the record file.
    """

    def __init__(self, path: Path, index_path: Path | None = None) -> None:
        self.path = path
        self.index_path = index_path or path.with_suffix(".idx")
        self._source = _Source(path)
        self.keys, self.offsets = read_index(self.index_path)
        self._check_offsets()

    def _check_offsets(self) -> None:
        order = np.argsort(self.offsets, kind="stable")
        following = np.append(self.offsets[order[1:]], self._source.size)
        extents = following - self.offsets[order]
        outside = (self.offsets < 0) | (self.offsets % 4 != 0)
        if outside.any() or extents.min() <= 0:
            raise DataError(
                f"{self.index_path}: the index does not fit {self.path.name}; "
                "`mobilenet verify --fix` rebuilds it"
            )
        self._read_ahead = np.empty_like(extents)
        self._read_ahead[order] = np.minimum(extents, _READ_AHEAD_BYTES)

    def __len__(self) -> int:
        return len(self.keys)

    def __reduce__(self) -> tuple[type[RecordFile], tuple[Path, Path]]:
        return RecordFile, (self.path, self.index_path)

    def label(self, position: int) -> int:
        """The class of a record; of an array label (a record written by others), its first value.

        Raises:
            CorruptRecord: The record is damaged or its label is no class number.
        """
        return self._source.entry(position, int(self.offsets[position]))[0].label

    def labels(self) -> npt.NDArray[np.int64]:
        """(N,) int64, the class of every record; reads headers only.

        Raises:
            CorruptRecord: As `label`, for the first such record.
        """
        return np.array([self.label(position) for position in range(len(self))], np.int64)

    def image(self, position: int) -> memoryview:
        """The encoded image of a record.

        Raises:
            CorruptRecord: The record is damaged.
        """
        start = int(self.offsets[position])
        payload = self._source.payload(position, start, int(self._read_ahead[position]))
        header = self._source.header(position, start, payload, len(payload))
        return memoryview(payload)[header.image_start :]

    def close(self) -> None:
        """Closes the record file; reading from it is an error from now on."""
        self._source.close()


def read_index(path: Path) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Keys and offsets, each (N,) int64, in the order of the index at `path`.

    Raises:
        DataError: The file is missing, unreadable, empty or malformed.
    """
    remedy = "`mobilenet verify --fix` rebuilds it"
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        raise DataError(f"{path}: the index of the record file is missing; {remedy}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot read the index: {error.strerror}") from None
    if not lines:
        raise DataError(f"{path}: the index is empty; {remedy}")
    numbers = np.empty((len(lines), 2), np.int64)
    for position, line in enumerate(lines):
        try:
            key, offset = line.split()
            numbers[position] = int(key), int(offset)
        except (ValueError, OverflowError):
            raise DataError(
                f"{path}:{position + 1}: expected a key and an offset; {remedy}"
            ) from None
    return numbers[:, 0], numbers[:, 1]


def scan(path: Path) -> Iterator[Entry]:
    """Walks a record file from its first byte to its last, without an index.

    Raises:
        DataError: The file is missing, unreadable or empty.
        CorruptRecord: At the first damage, after every record before it was given.
    """
    source, position, offset = _Source(path), 0, 0
    while offset < source.size:
        entry, offset = source.entry(position, offset)
        yield entry
        position += 1
