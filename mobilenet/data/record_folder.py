"""The folder of record files: whether it is complete, and what tells its files from others."""

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
from mobilenet.data import image_names
from mobilenet.data.image_decoding import ExifOrientation
from mobilenet.data.image_header import EXIF_ROTATION
from mobilenet.data.manifest import Manifest
from mobilenet.data.record_file import read_index
from mobilenet.errors import DataError

MANIFEST, SYNSET, ODDITIES = "manifest.json", "synset.txt", "oddities.tsv"
SPOOL = ".source.tar"
SUFFIXES = (".rec", ".idx", image_names.SUFFIX)
_RECORDS = tuple(f"{s}{suffix}" for s in ("train", "val", "minival") for suffix in SUFFIXES)
_NAMES = (MANIFEST, SYNSET, ODDITIES, *_RECORDS)
# Is there from the moment at which all files are written until all have their names.
_MARK = ".unfinished"

_SMALL_FILE_BYTES = 1 << 26
_NUM_SAMPLES, _SAMPLE_BYTES, _NUM_READERS = 2048, 1 << 12, 16


@contextlib.contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Makes the folder, and keeps other processes from preparing into it at the same time.

    Raises:
        DataError: Another process is at it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # The system takes the lock back from a process that is killed.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise DataError(f"{folder}: another process is preparing records there") from None
    finally:
        os.close(descriptor)


def finished(folder: Path, identity: dict[str, dict[str, Any]]) -> Optional[Manifest]:
    """The manifest of the records that are there already, if there are any.

    Args:
        folder: Of the record files.
        identity: Fields of the manifest (`source`, `options`), and the values in them that must
            be the same.

    Raises:
        DataError: The records are of another source or of other options, are incomplete, or are
            not of our making.
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
    """What of the images' EXIF orientation is not as `data.exif_orientation` makes one expect."""
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
    """What tells a record file from others in seconds, without reading all of 140 GB.

    Other labels or images in one of 1000 records are seen with a probability of 87 %, in one of 200
    almost always; in a small file always. Times of modification do not count, for a copy of the
    records has others.

    Returns:
        SHA-256s. `index`: of index and size. `records`: of the first bytes, with the label, of
        records all over the file, or of all of a small file. `content`: of the file, as the
        manifest has it, if there is one.

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
        # At the same time, for a disk that turns brings the reads into an order of its own.
        for content in pool.map(partial(os.pread, file.fileno(), _SAMPLE_BYTES), starts):
            digest.update(content)
    return digest.hexdigest()


@contextlib.contextmanager
def all_or_nothing(folder: Path) -> Iterator[None]:
    """Removes the files of the folder that have got their names if the block does not end well."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to be told
            remove_leftovers(folder)
        raise
    (folder / _MARK).unlink(missing_ok=True)


def mark_unfinished(folder: Path) -> None:
    """Says that record files which are there without a manifest are from an unfinished `prepare`.

    So that they are told from the files of others even after several kills.
    """
    files.write_bytes(folder / _MARK, b"")


def remove_leftovers(folder: Path) -> bool:
    """Removes what a killed run has left, and says whether there was anything.

    A killed removal can be taken up again: the mark goes last.
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
