"""Reads a source of images as a tree of folders, on the disk or inside a tar, without unpacking.

Hidden entries (a leading dot, which covers macOS' `._` files in tars) are not part of the tree.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Iterator, NamedTuple, Optional

from mobilenet.errors import DataError, reason, shortened

_BLOCK_BYTES = 512
_MAX_HEADER_BYTES = 1 << 20
_MAX_DEPTH = 100
_UNPRINTABLE = re.compile("[\0-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")


class File(NamedTuple):
    """The place of a file's bytes: all of `path`, or a member of the tar at `path`.

    Attributes:
        modified_ns: When the file was last written to, in nanoseconds; 0 of a member of a tar.
    """

    path: str
    offset: int
    size: int
    modified_ns: int = 0

    def read(self) -> bytes:
        """The content.

        Raises:
            DataError: It cannot be read, or `path` has become shorter.
        """
        try:
            with Path(self.path).open("rb") as file:
                file.seek(self.offset)
                content = file.read(self.size)
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read: {reason(error)}") from None
        if len(content) < self.size:
            raise DataError(f"{self.path}: has become shorter while it was being packed")
        return content


class _Content(NamedTuple):
    folders: dict[str, Folder]
    files: dict[str, File]
    others: list[str]


class Folder:
    """A folder of a tree; its `path` is for messages."""

    def __init__(self, path: str) -> None:
        self.path = path

    @cached_property
    def _content(self) -> _Content:
        return _Content({}, {}, [])

    @property
    def folders(self) -> dict[str, Folder]:
        """The folders in it by name."""
        return self._content.folders

    @property
    def files(self) -> dict[str, File]:
        """The regular files in it by name."""
        return self._content.files

    @property
    def others(self) -> list[str]:
        """Names of the entries that are neither, such as devices and links in a tar."""
        return self._content.others


class DiskFolder(Folder):
    """A folder on the disk, listed when it is first asked; symbolic links are followed.

    Raises:
        DataError: When listed: it cannot be read, or a link in it leads nowhere or in a circle.
    """

    @cached_property
    def _content(self) -> _Content:
        content = _Content({}, {}, [])
        try:
            with os.scandir(self.path) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    if not entry.name.startswith("."):
                        _list(entry, content)
        except OSError as error:
            where = error.filename or self.path
            raise DataError(f"{where}: cannot be read: {reason(error)}") from None
        return content


def walk(folder: Folder, prefix: str = "") -> Iterator[tuple[str, Optional[File]]]:
    """Everything below `folder` with its path relative to it; None is no regular file.

    Raises:
        DataError: Folders lie in each other without end, or nearly so.
    """
    if prefix.count("/") > _MAX_DEPTH:
        raise DataError(f"{folder.path}: lies in more than {_MAX_DEPTH} folders")
    for name, file in folder.files.items():
        yield prefix + name, file
    for name in folder.others:
        yield prefix + name, None
    for name, inner in folder.folders.items():
        yield from walk(inner, f"{prefix}{name}/")


def file_at(path: Path) -> File:
    """All of the file at `path`.

    Raises:
        DataError: There is no such file.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # a name with a zero in it is the latter
        why = reason(error) if isinstance(error, OSError) else error
        raise DataError(f"{path}: cannot be read: {why}") from None
    if not path.is_file():
        raise DataError(f"{path}: is no regular file")
    return File(str(path), 0, status.st_size, status.st_mtime_ns)


def printable(name: str) -> str:
    r"""The name with line ends, control characters and undecodable bytes as \n, \x1b or \udce9.

    Different names stay different, or one of two files of a folder would be lost.
    """
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), name)


def _list(entry: os.DirEntry[str], content: _Content) -> None:
    name = printable(entry.name)
    if entry.is_dir():
        content.folders[name] = DiskFolder(entry.path)
    elif entry.is_file():
        status = entry.stat()
        content.files[name] = File(entry.path, 0, status.st_size, status.st_mtime_ns)
    else:
        entry.stat()  # raises for a link to nowhere, which may stand for an image
        content.others.append(name)


def read_tar(path: Path, shown: Optional[Path] = None) -> Folder:
    """The tree inside of a tar; reads its headers alone and writes nothing.

    Args:
        path: The tar.
        shown: What messages call it, if not `path`.

    Raises:
        DataError: `path` is unreadable, no tar, cut off or damaged, or has a member whose name
            leads outside of the archive.
    """
    return _tree(path, str(shown or path), 0, file_at(path).size)


def read_tar_of_tars(path: Path) -> Folder:
    """The tree of a tar of tars, each a folder named like it without `.tar`; raises as `read_tar`.

    This is how ILSVRC2012's training images come.
    """
    outer = read_tar(path)
    tree = Folder(outer.path)
    for name, file in outer.files.items():
        if name.endswith(".tar"):
            inner = _tree(path, f"{path}/{name}", file.offset, file.offset + file.size)
            tree.folders[name[: -len(".tar")]] = inner
        else:
            tree.files[name] = file
    return tree


def _tree(path: Path, shown: str, start: int, end: int) -> Folder:
    root = Folder(shown)
    folders: dict[tuple[str, ...], Folder] = {(): root}
    for member in _members(path, shown, start, end):
        parts = _parts(member.name, shown)
        if not parts or any(part.startswith(".") for part in parts):
            continue
        if member.isdir():
            _folder(folders, parts)
            continue
        parent = _folder(folders, parts[:-1])
        if member.isreg() and not member.issparse():
            parent.files[parts[-1]] = File(str(path), member.offset_data, member.size)
        else:
            parent.others.append(parts[-1])
    return root


def _parts(name: str, shown: str) -> tuple[str, ...]:
    parts = tuple(printable(part) for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or ".." in parts:
        raise DataError(f"{shown}: its member {name!r} leads outside of the archive")
    if len(parts) > _MAX_DEPTH:
        raise DataError(
            f"{shown}: its member {shortened(name)!r} lies in more than {_MAX_DEPTH} folders"
        )
    return parts


def _folder(folders: dict[tuple[str, ...], Folder], parts: tuple[str, ...]) -> Folder:
    """The folder at `parts`, made with its parents where they are missing."""
    if parts not in folders:
        parent = _folder(folders, parts[:-1])
        folders[parts] = Folder(f"{parent.path}/{parts[-1]}")
        parent.folders[parts[-1]] = folders[parts]
    return folders[parts]


class HeaderReader(io.BufferedIOBase):
    """The file that `tarfile` reads headers from: a name of gigabytes is an error, not read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._num_left = _MAX_HEADER_BYTES

    def read(self, size: Optional[int] = -1, /) -> bytes:
        """The next `size` bytes; newer versions of `tarfile` read a long header in pieces."""
        if size is None or not 0 <= size <= self._num_left:
            raise tarfile.ReadError("a header of more than a mebibyte")
        self._num_left -= size
        return self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Goes to a place in the file, where another header begins."""
        self._num_left = _MAX_HEADER_BYTES
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The place in the file."""
        return self._file.tell()


def _members(path: Path, shown: str, start: int, end: int) -> Iterator[tarfile.TarInfo]:
    """The headers of the tar in the bytes from `start` to `end` of a file, each one checked."""
    position = start
    try:
        with path.open("rb") as file:
            file.seek(start)
            tar = tarfile.open(fileobj=HeaderReader(file), mode="r:")  # noqa: SIM115 - owns nothing
            while (member := tar.next()) is not None:
                # It would keep a kilobyte for each of a million images.
                vars(tar)["members"].clear()
                # A negative size would lead back to an earlier member, for ever.
                if tar.offset <= position or member.size < 0:
                    raise DataError(f"{shown}: is damaged at byte {position}")
                position = tar.offset
                if member.offset_data + member.size > end:
                    raise DataError(f"{shown}: is cut off within {member.name!r}")
                yield member
            # tarfile takes whatever is no header for the end; only zeros are.
            file.seek(position)
            tail = file.read(_BLOCK_BYTES)
    except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
        raise DataError(f"{shown}: is no tar, or is damaged or cut off ({error})") from None
    except OSError as error:
        raise DataError(f"{shown}: cannot be read: {reason(error)}") from None
    if tail != bytes(_BLOCK_BYTES) or position + _BLOCK_BYTES > end:
        raise DataError(f"{shown}: is damaged or cut off at byte {position}")
