"""One record of an MXNet record file: how its bytes are packed, cut in parts and read back.

A record file is a sequence of parts: the magic word, a word with 3 bits of kind and 29 bits of
length, the bytes, and zeros up to a multiple of 4. A record is one part or, if its bytes contain
the magic word at a multiple of 4, several parts with that word left out between them. The bytes of
a record are an image header and the encoded image.

Sources: dmlc-core `include/dmlc/recordio.h` and `src/recordio.cc` (parts), MXNet
`python/mxnet/recordio.py` (`IRHeader`, the image header).
"""

from __future__ import annotations

import os
import re
import struct
import weakref
from pathlib import Path
from typing import Iterator, NamedTuple

from mobilenet.errors import DataError, reason

_MAGIC = struct.pack("<I", 0xCED7230A)
_PART = struct.Struct("<4sI")
_LENGTH_BITS = 29
_MAX_RECORD_BYTES = (1 << _LENGTH_BITS) - 1
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)

_IMAGE_HEADER = struct.Struct("<IfQQ")  # length of an array label (0: none), label, id, second id
_FLOAT = struct.Struct("<f")
MAX_IMAGE_BYTES = _MAX_RECORD_BYTES - _IMAGE_HEADER.size
_HEADER_BYTES = _IMAGE_HEADER.size + _FLOAT.size  # with the first value of an array label
_MAX_LABEL = 1 << 24  # beyond it float32 skips integers


class CorruptRecord(DataError):  # noqa: N818 - a finding, not an error
    """A record that cannot be read as one.

    Attributes:
        path: The record file.
        position: Number of the record in the index (in `scan`, in the file), from 0.
        offset: The byte at which the record starts.
        problem: What is wrong with the record.
    """

    def __init__(self, path: Path, position: int, offset: int, problem: str) -> None:
        super().__init__(path, position, offset, problem)
        self.path, self.position, self.offset, self.problem = path, position, offset, problem

    def __str__(self) -> str:
        return f"{self.path}: record {self.position} at byte {self.offset} {self.problem}"


class Entry(NamedTuple):
    """The place of a record in its file, and the facts in its header.

    Attributes:
        offset: Its first byte.
        end: The byte after its last.
        key: Its id.
        label: The class; of an array label (in records made by others) the first value.
        image_bytes: Size of the encoded image.
    """

    offset: int
    end: int
    key: int
    label: int
    image_bytes: int


def pack(key: int, label: int, image: bytes) -> bytes:
    """The bytes of a record: image header with a single label, then the encoded `image`."""
    return _IMAGE_HEADER.pack(0, label, key, 0) + image


def cut_in_parts(payload: bytes) -> Iterator[bytes]:
    """The payload as written to a file, split at every magic word at a multiple of 4."""
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


def _padded(length: int) -> int:
    return length + -length % 4


class RecordSource:
    """The bytes of a record file, for any number of threads and forked processes.

    Uses positioned reads, not a memory map: when a disk fails or the file is truncated, a read
    raises an exception, but an access to mapped memory ends the process.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY)
            self.close = weakref.finalize(self, os.close, self._descriptor)
            os.pread(self._descriptor, 1, 0)  # a folder opens, but does not read
            self.size = os.fstat(self._descriptor).st_size
        except FileNotFoundError:
            raise DataError(
                f"{path}: there is no record file; `mobilenet prepare` makes record files, and"
                " data.directory=DIR says where they are"
            ) from None
        except OSError as error:
            raise DataError(f"{path}: cannot read the record file: {reason(error)}") from None
        if not self.size:
            raise DataError(f"{path}: the record file is empty; prepare it again")

    def read(self, offset: int, count: int) -> bytes:
        """The `count` bytes from `offset` on, fewer at the end of the file."""
        if not self.close.alive:
            raise DataError(f"{self.path}: the record file is closed")
        return os.pread(self._descriptor, count, offset)


class Record:
    """The record that starts at an offset of a file; checks every number that it reads."""

    __slots__ = ("_offset", "_position", "_source")

    def __init__(self, source: RecordSource, position: int, offset: int) -> None:
        self._source, self._position, self._offset = source, position, offset

    def entry(self) -> Entry:
        """The place of the record and the facts in its header; reads only the header."""
        payload, length, end = self._payload(_HEADER_BYTES)
        key, label, start = self._header(payload, length)
        return Entry(self._offset, end, key, label, length - start)

    def labelled_image(self, expected_bytes: int) -> tuple[int, memoryview]:
        """Label and encoded image; one read if the record has at most `expected_bytes`."""
        payload, length, _ = self._payload(expected_bytes)
        if len(payload) < length:
            payload, length, _ = self._payload(length)
        _, label, start = self._header(payload, length)
        return label, payload[start:]

    def _corrupt(self, problem: str) -> CorruptRecord:
        return CorruptRecord(self._source.path, self._position, self._offset, problem)

    def _read(self, offset: int, count: int) -> bytes:
        try:
            block = self._source.read(offset, count)
        except OSError as error:
            raise self._corrupt(f"cannot be read: {error.strerror}") from None
        if len(block) < min(count, self._source.size - offset):
            raise self._corrupt("cannot be read: the file has become shorter")
        return block

    def _payload(self, count: int) -> tuple[memoryview, int, int]:
        """At least `count` bytes of the record, its length, and its end."""
        block = self._read(self._offset, _PART.size + count)
        if len(block) >= _PART.size:
            magic, length = _PART.unpack_from(block)  # the kind of a whole part is 0
            end = self._offset + _PART.size + _padded(length)
            if magic == _MAGIC and length <= _MAX_RECORD_BYTES and end <= self._source.size:
                return memoryview(block)[_PART.size :][: min(count, length)], length, end
        extents = list(self._extents())
        payload = _MAGIC.join(self._read(offset, length) for offset, length in extents)
        last_offset, last_length = extents[-1]
        return memoryview(payload), len(payload), last_offset + _padded(last_length)

    def _extents(self) -> Iterator[tuple[int, int]]:
        """Offset and length of the bytes of each part."""
        offset, total = self._offset, 0
        kinds: tuple[int, ...] = (_WHOLE, _FIRST)
        while kinds:
            head = self._read(offset, _PART.size)
            if len(head) < _PART.size:
                raise self._corrupt("is cut short by the end of the file")
            magic, word = _PART.unpack(head)
            kind, length = word >> _LENGTH_BITS, word & _MAX_RECORD_BYTES
            total += length
            if magic != _MAGIC or kind not in kinds or total > _MAX_RECORD_BYTES:
                raise self._corrupt(f"is damaged: at byte {offset} no part of it starts")
            offset += _PART.size
            if offset + _padded(length) > self._source.size:
                raise self._corrupt("is cut short by the end of the file")
            yield offset, length
            offset += _padded(length)
            total += len(_MAGIC)
            kinds = (_MIDDLE, _LAST) if kind in (_FIRST, _MIDDLE) else ()

    def _header(self, payload: memoryview, length: int) -> tuple[int, int, int]:
        """Key, label and start of the image in a record of `length` bytes."""
        if length < _IMAGE_HEADER.size:
            raise self._corrupt("is too short for an image header")
        num_labels, label, key, _ = _IMAGE_HEADER.unpack_from(payload)
        start = _IMAGE_HEADER.size + num_labels * _FLOAT.size
        if start > length:
            raise self._corrupt(f"is too short for the {num_labels} labels that it announces")
        if num_labels:
            (label,) = _FLOAT.unpack_from(payload, _IMAGE_HEADER.size)
        if not (label.is_integer() and 0 <= label <= _MAX_LABEL):
            raise self._corrupt(f"has the label {label:g}, which is no class number")
        return key, int(label), start
