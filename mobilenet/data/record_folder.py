"""The folder of record files: checks that it is complete, and identifies its files by digests."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Iterator, Optional

import numpy as np

from mobilenet import files
from mobilenet.data.image_decoding import ExifOrientation
from mobilenet.data.image_header import EXIF_ROTATION
from mobilenet.data.manifest import Manifest
from mobilenet.data.record_file import read_index
from mobilenet.errors import DataError

MANIFEST, SYNSET, ODDITIES = "manifest.json", "synset.txt", "oddities.tsv"
SPOOL = ".source.tar"
_RECORDS = tuple(f"{s}{suffix}" for s in ("train", "val", "minival") for suffix in (".rec", ".idx"))
_NAMES = (MANIFEST, SYNSET, ODDITIES, *_RECORDS)
# Exists from the moment when all files are written until all have their final names.
_MARK = ".unfinished"

_SMALL_FILE_BYTES = 1 << 26
_NUM_SAMPLES, _SAMPLE_BYTES, _NUM_READERS = 2048, 1 << 12, 16


@contextlib.contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Makes the folder, and locks it against other `prepare` processes.

    Raises:
        DataError: Another process is preparing records there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # The system releases the lock of a killed process.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise DataError(f"{folder}: another process is preparing records there") from None
    finally:
        os.close(descriptor)


def finished(folder: Path, identity: dict[str, dict[str, Any]]) -> Optional[Manifest]:
    """The manifest of the records that are already in the folder; None if there are none.

    Args:
        folder: Of the record files.
        identity: Fields of the manifest (`source`, `options`), and the values in them that must
            be the same.

    Raises:
        DataError: The records are from another source, have other options, are incomplete, or were
            not made by this package.
    """
    present = [name for name in _NAMES if (folder / name).exists()]
    if MANIFEST not in present:
        if present and not (folder / _MARK).exists():
            raise DataError(f"{folder}: has a {present[0]} of other making; name a new folder")
        return None
    manifest = Manifest.read(folder / MANIFEST)
    for field, values in identity.items():
        recorded = getattr(manifest, field)
        for name, value in values.items():
            if recorded.get(name) != value:
                raise DataError(
                    f"{folder}: holds records of another {field}: {name} is {recorded.get(name)!r} "
                    f"there and {value!r} now; name a new folder"
                )
    _check_complete(folder, manifest)
    return manifest


def _check_complete(folder: Path, manifest: Manifest) -> None:
    splits = manifest.splits.values()
    for name in (SYNSET, *(name for it in splits for name in (it.record_file, it.index_file))):
        if not (folder / name).exists():
            raise DataError(f"{folder}: {name} is missing; remove the folder to prepare it anew")
    for split in splits:
        num_bytes = (folder / split.record_file).stat().st_size
        if num_bytes != split.bytes:
            raise DataError(
                f"{folder}: {split.record_file} has {num_bytes} bytes of {split.bytes}; remove the"
                " folder to prepare it anew"
            )


def manifest_of(folder: Path) -> Optional[Manifest]:
    """The manifest of a folder of records, if there is one that `prepare` wrote."""
    try:
        return Manifest.read(folder / MANIFEST)
    except DataError:
        return None


def orientation_warning(folder: Path, wanted: ExifOrientation) -> str:
    """A warning if the records do not suit `data.exif_orientation`, else an empty text."""
    manifest = manifest_of(folder)
    number = manifest.oddities.get(EXIF_ROTATION, 0) if manifest is not None else 0
    if manifest is None or not number or manifest.exif_orientation == wanted:
        return ""
    if wanted == "ignore":
        return (
            f"{folder}: {number} images have an EXIF orientation, by which they are turned only"
            " with data.exif_orientation=apply"
        )
    return (
        f"{folder}: data.exif_orientation=apply has no effect on {number} images: `mobilenet"
        " prepare` took their EXIF orientation away; prepare them with --exif-orientation apply"
    )


def record_digests(path: Path) -> dict[str, str]:
    """Digests that identify a record file within seconds, without reading all of 140 GB.

    A change of one in 1000 records is detected with a probability of 87 %, of one in 200 almost
    always, and in a small file always. Modification times are not used, because a copy has others.

    Returns:
        SHA-256 digests. `index`: of the index and the file's size. `records`: of the first bytes,
        with the label, of records all over the file, or of a whole small file. `content`: of the
        file, from the manifest if there is one.

    Raises:
        DataError: The index is malformed.
        OSError: A file cannot be read.
    """
    size = path.stat().st_size
    index = path.with_suffix(".idx").read_bytes() + str(size).encode()
    digests = {"index": hashlib.sha256(index).hexdigest()}
    is_small = size <= _SMALL_FILE_BYTES
    digests["records"] = files.sha256_of(path) if is_small else _sampled(path)
    manifest = manifest_of(path.parent)
    if manifest is not None and path.stem in manifest.splits:
        digests["content"] = manifest.splits[path.stem].sha256
    return digests


def _sampled(path: Path) -> str:
    _, offsets = read_index(path.with_suffix(".idx"))
    positions = np.linspace(0, len(offsets) - 1, _NUM_SAMPLES).astype(np.int64)
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file, ThreadPoolExecutor(_NUM_READERS) as pool:
        starts = np.sort(offsets)[positions].tolist()
        # In parallel, so that a hard disk can reorder the reads.
        for content in pool.map(partial(os.pread, file.fileno(), _SAMPLE_BYTES), starts):
            digest.update(content)
    return digest.hexdigest()


@contextlib.contextmanager
def all_or_nothing(folder: Path) -> Iterator[None]:
    """Removes the files that already have their final names if the block raises."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to report
            remove_leftovers(folder)
        raise
    (folder / _MARK).unlink(missing_ok=True)


def mark_unfinished(folder: Path) -> None:
    """Marks record files without a manifest as those of an unfinished `prepare`.

    So they can be distinguished from files of other programs, even after several kills.
    """
    files.write_bytes(folder / _MARK, b"")


def remove_leftovers(folder: Path) -> bool:
    """Removes what a killed `prepare` has left; returns whether there was anything.

    The mark is removed last, so that a killed removal can be repeated.
    """
    mark = folder / _MARK
    temporary = [path for name in (*_NAMES, _MARK) for path in folder.glob(f".{name}.*")]
    leftovers = [*temporary, *folder.glob(SPOOL)]
    if mark.exists() and not (folder / MANIFEST).exists():
        leftovers += [folder / name for name in _NAMES if (folder / name).exists()]
    for path in leftovers:
        path.unlink()
    if mark.exists():
        files.flush_to_disk(folder)
        mark.unlink()
    return bool(leftovers)
