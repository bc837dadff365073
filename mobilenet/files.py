"""Writes files atomically, so that they appear whole or not at all; computes their SHA-256.

A file is written under a temporary name in the same folder, flushed to the disk and renamed.
However the process ends, the final name has the complete new content or its old content. The next
write to that name removes temporary files that a killed process left.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any, BinaryIO, Callable, Iterator

_CHUNK_BYTES = 1 << 20
_NEW, _OLD = "new", "old"  # in the temporary folder of `replaced_folder`


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary path that is renamed to `path` when the block ends without an exception.

    For libraries that take the name of a file. The folder of `path` is made if it is missing.

    Raises:
        OSError: The folder cannot be written to or the disk is full; `path` is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    handle, temporary = _temporary_beside(path)
    try:
        temporary.chmod(0o666 & ~_umask())
        yield temporary
        flush_to_disk(temporary)
        temporary.replace(path)
        flush_to_disk(path.parent)
    finally:
        os.close(handle)
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


@contextlib.contextmanager
def open_replaced(path: Path) -> Iterator[BinaryIO]:
    """A binary file, open for writing, that becomes `path` if the block ends without exception."""
    with replaced(path) as temporary, temporary.open("wb") as file:
        yield file


@contextlib.contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """A new folder that takes the name `path` when the block ends without an exception.

    A folder that has the name is deleted then; until then it is as it was. If the process is
    killed between the two renames, the next write to `path` puts the old folder back first.

    Raises:
        OSError: The folder of `path` cannot be written to or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    handle, around = _temporary_beside(path, _new_folder)
    new, old = around / _NEW, around / _OLD
    try:
        new.mkdir()
        yield new
        for inside in (*new.rglob("*"), new):
            flush_to_disk(inside)
        if path.exists():
            path.rename(old)
        new.rename(path)
        flush_to_disk(path.parent)
    finally:
        os.close(handle)
        _remove_folder(around, path)


def write_bytes(path: Path, content: bytes) -> None:
    """Writes `content` to `path`, whole or not at all."""
    with open_replaced(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path` as UTF-8, whole or not at all."""
    write_bytes(path, encoded(text))


def encoded(text: str) -> bytes:
    r"""The text as UTF-8; bytes of file names that are not UTF-8 become escapes such as `\udce9`.

    JSON writes them in the same way.
    """
    return text.encode(errors="backslashreplace")


def write_json(path: Path, content: Any) -> None:
    """Writes `content` to `path` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def sha256_of(path: Path) -> str:
    """The SHA-256 of the file at `path`, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _new_file(prefix: str, suffix: str, parent: Path) -> tuple[int, str]:
    return tempfile.mkstemp(suffix, prefix, parent)


def _new_folder(prefix: str, suffix: str, parent: Path) -> tuple[int, str]:
    """A new folder, as `tempfile.mkstemp` makes a file: a descriptor and its name."""
    name = tempfile.mkdtemp(suffix, prefix, parent)
    return os.open(name, os.O_RDONLY), name


def _temporary_beside(
    path: Path, make: Callable[[str, str, Path], tuple[int, str]] = _new_file
) -> tuple[int, Path]:
    """A new file or folder, locked for as long as its descriptor is open, and its name."""
    while True:
        try:
            handle, name = make(f".{path.name}.", path.suffix, path.parent)
        except OSError as error:
            error.filename = str(path)  # the name that the user knows
            raise
        with contextlib.suppress(OSError):  # not every file system has locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        if Path(name).exists():
            return handle, Path(name)
        os.close(handle)  # another process was quicker, and has taken it for a leftover


def _remove_leftovers(path: Path) -> None:
    """Removes what processes that were killed left of `path`: the system took back their locks."""
    start = f".{path.name}."
    form = re.compile(re.escape(start) + "[a-z0-9_]{8}" + re.escape(path.suffix))
    with contextlib.suppress(OSError):  # the folder may be one that others alone can read
        # A folder may have many files, of which the comparison of the start is quick.
        alike = [name for name in os.listdir(path.parent) if name.startswith(start)]  # noqa: PTH208
        for name in filter(form.fullmatch, alike):
            _remove_unlocked(path.with_name(name), path)


def _remove_unlocked(leftover: Path, path: Path) -> None:
    """Removes a temporary file or folder of `path` unless a process has it locked."""
    handle = os.open(leftover, os.O_RDONLY)
    try:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not leftover.is_dir():
                leftover.unlink()
            elif {inside.name for inside in leftover.iterdir()} <= {_NEW, _OLD}:
                _remove_folder(leftover, path)
    finally:
        os.close(handle)


def _remove_folder(around: Path, path: Path) -> None:
    """Removes a temporary folder of `replaced_folder`; an old `path` in it goes back first."""
    if not path.exists() and (around / _OLD).exists():
        (around / _OLD).rename(path)
    shutil.rmtree(around)


def _umask() -> int:
    # mkstemp makes files private; record files and checkpoints should have usual permissions.
    mask = os.umask(0)
    os.umask(mask)
    return mask


def flush_to_disk(path: Path) -> None:
    """Waits until the file or folder has reached the disk; a rename is durable once both have."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
