"""Checks a record file and its index for faults, trusting neither.

A check returns one sentence for each kind of fault; none if there is no fault.
"""

from __future__ import annotations

from array import array
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Optional

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from mobilenet.compat.environment import usable_processors
from mobilenet.data.image_decoding import decode
from mobilenet.data.record import CorruptRecord, Entry, Record, RecordSource
from mobilenet.data.record_file import read_index, scan
from mobilenet.errors import DataError
from mobilenet.packing.decoder_warnings import counted
from mobilenet.progress_bar import watched

_Integers = npt.NDArray[np.int64]

_MAX_EXAMPLES = 5
_MAX_INDEX_KEY = 10**18 - 1
_BLOCK_RECORDS = 1024


@dataclass(frozen=True)
class Walk:
    """The records of a file in order, up to the end or to the first damage.

    Attributes:
        offsets: (N,) int64, the first byte of each record.
        ends: (N,) int64, the byte after its last.
        ids: (N,) uint64, from its header.
        labels: (N,) int64, likewise.
        image_bytes: (N,) int64, size of the encoded image.
        damage: Why the walk ended before the end of the file, if it did.
    """

    path: Path
    offsets: _Integers
    ends: _Integers
    ids: npt.NDArray[np.uint64]
    labels: _Integers
    image_bytes: _Integers
    damage: Optional[CorruptRecord]

    def __len__(self) -> int:
        return len(self.offsets)


def walk(path: Path) -> Walk:
    """Reads the header of every record of the file at `path`, without an index.

    Raises:
        DataError: The file is missing, unreadable or empty.
    """
    numbers, damage = array("Q"), None
    try:
        for entry in tqdm(scan(path), path.name, unit=" records", disable=None):
            numbers.extend(entry)
    except CorruptRecord as corrupt:
        damage = corrupt
    columns = np.array(numbers, np.uint64).reshape(-1, len(Entry._fields))
    signed = columns.astype(np.int64)
    offsets, ends, _, labels, image_bytes = signed.T
    return Walk(path, offsets, ends, columns[:, 2], labels, image_bytes, damage)


def index_keys(found: Walk) -> list[int]:
    """Keys for a new index: the ids of the records, or 0 .. N-1 where those are not fit for it."""
    unique = len(np.unique(found.ids)) == len(found)
    fit = unique and bool((found.ids <= _MAX_INDEX_KEY).all())
    return found.ids.tolist() if fit else list(range(len(found)))


def index_faults(index_path: Path, found: Walk, keys_are_ids: bool) -> list[str]:
    """Differences between the index and the records that a walk found, as far as it came."""
    try:
        keys, offsets = read_index(index_path)
    except DataError as error:
        return [str(error).removeprefix(f"{index_path}: ")]
    starts = np.isin(offsets, found.offsets)
    ids = found.ids[np.searchsorted(found.offsets, offsets[starts])]
    foreign = keys[starts][keys[starts].astype(np.uint64) != ids]
    walked = offsets < found.damage.offset if found.damage else np.ones(len(offsets), bool)
    kinds = {
        "records are not in the index, at bytes": np.setdiff1d(found.offsets, offsets),
        "offsets of the index start no record:": offsets[walked & ~starts],
        "offsets are in the index before:": _repeated(offsets),
        "keys are in the index before:": _repeated(keys),
        "keys are not the ids in their records:": foreign if keys_are_ids else foreign[:0],
    }
    return [f"{len(those)} {kind} {_some(those)}" for kind, those in kinds.items() if len(those)]


def damage_faults(index_path: Path, found: Walk) -> list[str]:
    """Where the walk ended early, and how many records after that the index can still reach."""
    damage = found.damage
    if damage is None:
        return []
    where = f"record {damage.position} at byte {damage.offset} {damage.problem}"
    faults = [f"{where}; {len(found)} good records stand before it; copy or prepare the file again"]
    try:
        _, offsets = read_index(index_path)
    except DataError:
        return faults
    behind = offsets[offsets > damage.offset].tolist()
    if behind:
        source = RecordSource(found.path)
        num_good = sum(_is_good(Record(source, 0, offset)) for offset in behind)
        source.close()
        faults.append(f"of the {len(behind)} records behind it {num_good} can be read")
    return faults


def label_faults(found: Walk, num_classes: int) -> list[str]:
    """Labels outside 0 .. `num_classes` - 1."""
    (outside,) = np.nonzero(found.labels >= num_classes)
    if not len(outside):
        return []
    first = found.labels[outside[0]]
    return [
        f"{len(outside)} labels are not in 0 .. {num_classes - 1}: "
        f"record {outside[0]} at byte {found.offsets[outside[0]]} has {first}"
    ]


def empty_faults(found: Walk) -> list[str]:
    """Records that hold no image."""
    (empty,) = np.nonzero(found.image_bytes == 0)
    return [f"{len(empty)} records have images of 0 bytes: {_some(empty)}"] if len(empty) else []


def image_faults(found: Walk) -> tuple[list[str], list[str]]:
    """Decodes every image on all processors; returns failures, and warnings about the others."""
    complaints: Counter[str] = Counter()
    # The bar looks for a terminal before standard error is watched.
    results = watched(_decoded(found, complaints), found.path.name, len(found))
    faults = [fault for fault in results if fault]
    more = len(faults) - _MAX_EXAMPLES
    rest = [f"{more} more images cannot be decoded"] if more > 0 else []
    said = [f"decoded with the complaint: {text} ({n:,} times)" for text, n in complaints.items()]
    return faults[:_MAX_EXAMPLES] + rest, sorted(said)


def _decoded(found: Walk, complaints: Counter[str]) -> Iterator[Optional[str]]:
    """Why each image fails, if it does; adds to `complaints` what the decoders said."""
    source = RecordSource(found.path)

    def fault(position: int) -> Optional[str]:
        start, end = int(found.offsets[position]), int(found.ends[position])
        try:
            decode(Record(source, position, start).labelled_image(end - start)[1])
        except DataError as error:
            return f"record {position} at byte {start}: {error}"
        return None

    blocks = range(0, len(found), _BLOCK_RECORDS)
    with counted() as said, ThreadPoolExecutor(usable_processors()) as pool:
        # In blocks: a pool takes all that it is given into its queue, and this can be a million.
        for first in blocks:
            yield from pool.map(fault, range(first, min(first + _BLOCK_RECORDS, len(found))))
    source.close()
    complaints.update(said)


def _is_good(record: Record) -> bool:
    try:
        record.entry()
    except CorruptRecord:
        return False
    return True


def _repeated(values: _Integers) -> _Integers:
    _, first = np.unique(values, return_index=True)
    return np.delete(values, first)


def _some(values: _Integers) -> str:
    more = ", ..." if len(values) > _MAX_EXAMPLES else ""
    return ", ".join(map(str, values[:_MAX_EXAMPLES].tolist())) + more
