"""Record files of MXNet: writes them, reads them by position, or scans them without an index.

A record file is a sequence of records (`mobilenet.data.record`); its index is a text file with
lines `key<TAB>offset`, as in MXNet's `python/mxnet/recordio.py`.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from mobilenet import files
from mobilenet.data.record import (
    MAX_IMAGE_BYTES,
    Entry,
    Record,
    RecordSource,
    cut_in_parts,
    pack,
)
from mobilenet.errors import DataError, reason

INDEX_REMEDY = "; `mobilenet verify --fix` rebuilds it"
# 18 digits always fit in 64 bits.
_INDEX_LINE = rb"\d{1,18}\t\d{1,18}\r?\n"
# Larger than nearly every image, so that one read is enough; larger images take a second read.
_READ_AHEAD_BYTES = 1 << 20


class RecordWriter:
    """Writes a record file and its index, record after record; a context manager.

    It writes directly to the paths; use temporary ones of `mobilenet.files.replaced`.
    """

    def __init__(self, record_path: Path, index_path: Path) -> None:
        self._records = record_path.open("wb")
        self._index = index_path.open("wb")

    def write(self, key: int, label: int, image: bytes) -> None:
        """Appends one record.

        Raises:
            DataError: The image is larger than the format allows.
        """
        if len(image) > MAX_IMAGE_BYTES:
            raise DataError(f"image {key} has {len(image)} bytes; a record holds 512 MiB at most")
        self._index.write(_index_line(key, self._records.tell()))
        self._records.writelines(cut_in_parts(pack(key, label, image)))

    def close(self) -> None:
        """Completes both files."""
        self._records.close()
        self._index.close()

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RecordFile:
    """A record file with its index, read by position in the index.

    Several threads and forked processes may read at the same time; a pickled copy opens the same
    files again.

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
        self._source = RecordSource(path)
        self.keys, self.offsets = read_index(self.index_path)
        order = np.argsort(self.offsets, kind="stable")
        room = np.diff(self.offsets[order], append=self._source.size)
        if room.min() <= 0:
            raise DataError(f"{self.index_path}: the index does not fit {path.name}{INDEX_REMEDY}")
        self._read_ahead = np.empty_like(room)
        self._read_ahead[order] = room.clip(max=_READ_AHEAD_BYTES)

    def __len__(self) -> int:
        return len(self.keys)

    def __reduce__(self) -> tuple[type[RecordFile], tuple[Path, Path]]:
        return RecordFile, (self.path, self.index_path)

    def label(self, position: int) -> int:
        """The class of a record; of an array label (records of other programs) the first value.

        Raises:
            CorruptRecord: The record is damaged or its label is no class number.
        """
        return self._record(position).entry().label

    def labels(self) -> npt.NDArray[np.int64]:
        """(N,) int64, the class of every record, in the order of the index.

        Raises:
            CorruptRecord: As `label`.
            DataError: The file has records that are not in the index.
        """
        entries = [self._record(position).entry() for position in range(len(self))]
        starts, ends = zip(*sorted((entry.offset, entry.end) for entry in entries))
        if (*starts, self._source.size) != (0, *ends):
            raise DataError(
                f"{self.index_path}: the index has {len(self)} records, and not all of"
                f" {self.path.name}{INDEX_REMEDY}"
            )
        return np.array([entry.label for entry in entries], np.int64)

    def image(self, position: int) -> memoryview:
        """The encoded image of a record; raises as `label`."""
        return self.labelled_image(position)[1]

    def labelled_image(self, position: int) -> tuple[int, memoryview]:
        """Class and encoded image of a record, in one read; raises as `label`."""
        return self._record(position).labelled_image(int(self._read_ahead[position]))

    def name(self, position: int) -> str:
        """What messages call a record, to follow `path`."""
        return f"record {position}"

    def close(self) -> None:
        """Closes the record file; reading afterwards is an error."""
        self._source.close()

    def _record(self, position: int) -> Record:
        return Record(self._source, position, int(self.offsets[position]))


def read_index(path: Path) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Keys and offsets, each (N,) int64, in the order of the index at `path`.

    Raises:
        DataError: The index is missing, unreadable, empty or malformed.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: the index of the records is missing{INDEX_REMEDY}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot read the index: {reason(error)}") from None
    if not content:
        raise DataError(f"{path}: the index is empty{INDEX_REMEDY}")
    if not re.fullmatch(b"(?:" + _INDEX_LINE + b")+", content):
        lines = content.splitlines(keepends=True)
        wrong = next(n for n, line in enumerate(lines, 1) if not re.fullmatch(_INDEX_LINE, line))
        raise DataError(f"{path}:{wrong}: this line is not `key<TAB>offset`{INDEX_REMEDY}")
    numbers = np.fromstring(content, np.int64, sep=" ").reshape(-1, 2)
    return numbers[:, 0].copy(), numbers[:, 1].copy()


def write_index(path: Path, keys: Iterable[int], offsets: Iterable[int]) -> None:
    """Writes an index, whole or not at all; the inverse of `read_index`."""
    files.write_bytes(path, b"".join(map(_index_line, keys, offsets)))


def _index_line(key: int, offset: int) -> bytes:
    return b"%d\t%d\n" % (key, offset)


def scan(path: Path) -> Iterator[Entry]:
    """Scans a record file from its first byte to its last, without an index.

    Raises:
        DataError: The file is missing, unreadable or empty.
        CorruptRecord: At the first damaged record, after all records before it.
    """
    source, offset = RecordSource(path), 0
    for position in itertools.count():
        if offset == source.size:
            return
        entry = Record(source, position, offset).entry()
        yield entry
        offset = entry.end
