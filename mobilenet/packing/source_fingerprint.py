"""A digest of a source, by which a second `prepare` detects changes.

It takes only seconds, because it reads names, sizes and times of all files but the beginnings of
only a few. It cannot detect an image that was replaced by one of the same size and modification
time and is not among these few.
"""

from __future__ import annotations

import hashlib
import heapq
import os
from pathlib import Path
from typing import Iterable, Iterator, Optional

from mobilenet.errors import DataError
from mobilenet.packing.folder_trees import DiskFolder, File, file_at, walk
from mobilenet.packing.im2rec_lists import LIST_SUFFIX, read_list

_NUM_SAMPLES = 256
_SAMPLE_BYTES = 1 << 12

Named = tuple[str, Optional[File]]


def fingerprint(
    paths: Iterable[Path], synset: Optional[Path], root: Optional[Path], output: Path
) -> str:
    """The digest, 64 hexadecimal digits.

    Of each tar blocks all over it are read, of lists and synset everything; a list stands for the
    images in it too. What is in `output` does not count: this folder may lie within the source.

    Args:
        paths: Folders, tars and lists of im2rec.
        synset: File with the classes.
        root: What paths in lists are relative to, if not to their folder.
        output: Folder of the record files.

    Raises:
        DataError: A path is missing or unreadable, or is the output itself.
    """
    digest = hashlib.sha256()
    for path in paths:
        own = os.path.relpath(output.resolve(), path.resolve())
        if own == ".":
            raise DataError(f"{output}: is the source itself; name another folder for the records")
        if path.is_dir():
            inside = (
                item for item in walk(DiskFolder(str(path))) if item[0][: len(own) + 1] != f"{own}/"
            )
            _add(digest, inside)
        else:
            _add(digest, _parts_of(path, root))
    if synset is not None:
        digest.update(file_at(synset).read())
    return digest.hexdigest()


def _parts_of(path: Path, root: Optional[Path]) -> Iterator[Named]:
    """A list with its images, or blocks of a tar."""
    whole = file_at(path)
    if path.suffix == LIST_SUFFIX:
        yield hashlib.sha256(whole.read()).hexdigest(), None
        yield from ((image.name, image.file) for image in read_list(path, root or path.parent))
        return
    step = max(_SAMPLE_BYTES, whole.size // _NUM_SAMPLES)
    for start in range(0, whole.size, step):
        block = whole._replace(offset=start, size=min(_SAMPLE_BYTES, whole.size - start))
        yield str(whole.size), block


def _add(digest: hashlib._Hash, files: Iterable[Named]) -> None:
    """Adds what is known of all files without reading them, and the beginnings of some."""

    def ranked() -> Iterator[tuple[bytes, File]]:
        for name, file in files:
            line = f"{name}\t{file and (file.size, file.modified_ns)}\n".encode()
            digest.update(line)
            if file is not None:
                yield hashlib.blake2b(name.encode(), digest_size=8).digest(), file

    for _, file in heapq.nsmallest(_NUM_SAMPLES, ranked()):
        digest.update(file._replace(size=min(_SAMPLE_BYTES, file.size)).read())
