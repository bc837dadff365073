"""Lists of images as MXNet's im2rec writes and reads them: `index<TAB>label<TAB>path` lines."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Iterable, Iterator

from mobilenet.data.class_folder_labels import composed
from mobilenet.errors import DataError
from mobilenet.packing.folder_trees import file_at, printable
from mobilenet.packing.image_order import Image

LIST_SUFFIX = ".lst"
_MAX_LABEL = 1 << 24  # beyond it the float32 of a record skips integers


def read_list(path: Path, root: Path) -> Iterator[Image]:
    """The images of a list; their paths are relative to `root`, their names the last two parts.

    Raises:
        DataError: The list is unreadable, a line is malformed or its image is not there.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as a list ({error})") from None
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _image(line, f"{path}:{number}", root)


def folder_names(images: Iterable[Image]) -> dict[int, str]:
    """The folder of each label, if every label has one of its own; else nothing."""
    folders: dict[int, set[str]] = defaultdict(set)
    for image in images:
        folders[image.label].add(composed(image.name.rpartition("/")[0]))
    names = {label: min(those) for label, those in folders.items()}
    is_one_to_one = sum(map(len, folders.values())) == len({*names.values()})
    return names if is_one_to_one and "" not in names.values() else {}


def _image(line: str, where: str, root: Path) -> Image:
    columns = [column.strip() for column in line.split("\t")]
    if len(columns) != 3:
        raise DataError(f"{where}: has {len(columns)} columns; index, label and path are expected")
    try:
        label = float(columns[1])
    except ValueError:
        label = -1
    if not 0 <= label < _MAX_LABEL or not label.is_integer():
        raise DataError(f"{where}: the label {columns[1]!r} is not one of 0, 1, 2, ...")
    path = columns[2].replace("\\", "/")  # as Windows separates folders
    try:
        file = file_at(root / path)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    return Image(printable("/".join(Path(path).parts[-2:])), int(label), file)
