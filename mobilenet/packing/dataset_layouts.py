"""Recognises how a data set is laid out, and finds the folder of each split in it.

* `ilsvrc-tars`: the original tars of ILSVRC2012
* `kaggle`: Kaggle's folder `ILSVRC/Data/CLS-LOC`
* `split-folders`: `train/<class>/...` and `val/<class>/...`, or one of them
* `class-folders`: `<class>/...` alone, one split

The last three may also be inside of a tar or tar.gz, and a lone folder around everything does not
matter.
"""

from __future__ import annotations

import gzip
import shutil
import zlib
from pathlib import Path, PurePosixPath
from typing import Callable, Iterable, NamedTuple, Optional, TypeVar

from mobilenet.data.image_header import SUFFIXES
from mobilenet.errors import DataError
from mobilenet.packing import folder_trees, ilsvrc2012
from mobilenet.packing.folder_trees import DiskFolder, Folder, file_at

CLASS_FOLDERS = "class-folders"
_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val"}
_IMAGE_SUFFIXES = {suffix for suffixes in SUFFIXES.values() for suffix in suffixes}
_READERS = {"train": folder_trees.read_tar_of_tars, "val": folder_trees.read_tar}

_T = TypeVar("_T")


class Layout(NamedTuple):
    """Where the images of a data set are.

    Attributes:
        name: One of those in the module's description.
        splits: The folder of each split.
        around: The folders around them, outermost first, which may hold files about the images.
        unused: Folders beside those of the splits.
    """

    name: str
    splits: dict[str, Folder]
    around: list[Folder]
    unused: list[str]


def is_image(name: str) -> bool:
    """Whether a file is named like an image."""
    return PurePosixPath(name).suffix.lower() in _IMAGE_SUFFIXES


def official_tars(paths: Iterable[Path]) -> dict[str, Path]:
    """The tar of each split of ILSVRC2012 among the paths, or directly in a folder among them."""
    paths = list(paths)
    return {
        split: place
        for split, name in ilsvrc2012.TARS.items()
        for place in (*paths, *(path / name for path in paths))
        if place.name == name and place.is_file()
    }


def find(
    paths: tuple[Path, ...], split: Optional[str], spool: Path, say: Callable[[str], None]
) -> Layout:
    """Recognises the layout of a source.

    Args:
        paths: A folder, a tar, or the tars of ILSVRC2012.
        split: The one split to find; also what a source without splits is called.
        spool: File to unpack a tar.gz to, for a compressed stream cannot be read here and there.
        say: Shows a line to the user.

    Raises:
        DataError: There is no such source, it cannot be read, or it lacks the split.
    """
    tars = _only(official_tars(paths), split)
    if not tars:
        if len(paths) > 1:
            raise DataError("several sources must be tars of ILSVRC2012 or .lst files; name one")
        return _descend([*_outside(paths[0]), _open(paths[0], spool, say)], split, say)
    splits: dict[str, Folder] = {}
    for name, tar in tars.items():
        say(f"listing {tar}")
        splits[name] = _READERS[name](tar)
    places = {str(path if path.is_dir() else path.parent) for path in paths}
    return Layout("ilsvrc-tars", splits, [DiskFolder(place) for place in sorted(places)], [])


def _only(splits: dict[str, _T], split: Optional[str]) -> dict[str, _T]:
    """All of the splits, or the one that is asked for."""
    if split is None or not splits:
        return splits
    if split not in splits:
        raise DataError(f"the source has no split {split!r}, only {' and '.join(splits)}")
    return {split: splits[split]}


def _open(path: Path, spool: Path, say: Callable[[str], None]) -> Folder:
    if path.is_dir():
        return DiskFolder(str(path))
    file = file_at(path)
    start = file._replace(size=min(4, file.size)).read()
    if start.startswith(b"PK"):
        raise DataError(f"{path}: is a zip; unpack it and name the folder")
    if start.startswith(b"\x1f\x8b"):
        free = shutil.disk_usage(spool.parent).free
        if file.size > free:  # images hardly become smaller when they are packed
            raise DataError(
                f"{spool.parent}: unpacking {path} needs more than {file.size / 1e9:,.1f} GB, and "
                f"{free / 1e9:,.1f} GB are free"
            )
        say(f"unpacking {path} to a temporary file; a gzip can only be read from start to end")
        _unpack(path, spool)
        return folder_trees.read_tar(spool, path)
    say(f"listing {path}")
    return folder_trees.read_tar(path)


def _unpack(path: Path, spool: Path) -> None:
    try:
        with gzip.open(path) as packed, spool.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked, 1 << 20)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: is damaged or cut off ({error})") from None


def _outside(path: Path) -> list[Folder]:
    """The folder around Kaggle's folders, where the labels are, if `path` is one of these."""
    path = path.absolute()
    for depth in range(1, len(ilsvrc2012.KAGGLE_FOLDER) + 1):
        if path.parts[-depth:] == ilsvrc2012.KAGGLE_FOLDER[:depth]:
            return [DiskFolder(str(path.parents[depth - 1]))]
    return []


def _descend(around: list[Folder], split: Optional[str], say: Callable[[str], None]) -> Layout:
    """Goes down from the last folder to the one that holds the splits or the classes."""
    folder = around[-1]
    while not _splits(folder) and (inner := _inner(folder)):
        folder = inner
        around = [*around, folder]
    splits = _splits(folder)
    if not splits:
        name = split or "train"
        use = f"all of it is taken for the split {split!r}" if split else "its folders are classes"
        say(f"{folder.path} has no train/ and no val/: {use}")
        return Layout(CLASS_FOLDERS, {name: folder}, around, [])
    is_kaggle = folder.path.endswith("/".join(ilsvrc2012.KAGGLE_FOLDER))
    used = [inner.path for inner in splits.values()]
    unused = [f"{name}/" for name, inner in folder.folders.items() if inner.path not in used]
    name = "kaggle" if is_kaggle else "split-folders"
    return Layout(name, _only(splits, split), around, unused)


def _inner(folder: Folder) -> Optional[Folder]:
    """The folder one level down in which everything is, if there is one."""
    for path in (ilsvrc2012.KAGGLE_FOLDER, ilsvrc2012.KAGGLE_FOLDER[1:]):
        inner: Optional[Folder] = folder
        for name in path:
            inner = inner.folders.get(name) if inner else None
        if inner:
            return folder.folders[path[0]]
    if len(folder.folders) != 1 or any(map(is_image, folder.files)):
        return None
    (inner,) = folder.folders.values()
    # A folder with images in it, or with nothing, is the only class.
    return inner if inner.folders and not any(map(is_image, inner.files)) else None


def _splits(folder: Folder) -> dict[str, Folder]:
    """The folders of splits in a folder, by the name of the split."""
    splits: dict[str, Folder] = {}
    for name, inner in folder.folders.items():
        split = _SPLITS.get(name.lower())
        if split in splits:
            raise DataError(f"{splits[split].path} and {inner.path} are both the split {split!r}")
        if split is not None:
            splits[split] = inner
    is_class = splits.keys() == {"train"} and not splits["train"].folders
    return {} if is_class and len(folder.folders) > 1 else splits  # beside cars and planes
