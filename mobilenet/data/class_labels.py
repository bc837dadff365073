"""Which class has which label."""

from __future__ import annotations

import ast
import functools
import importlib.util
from collections import Counter
from pathlib import Path
from typing import Collection, Iterable, NamedTuple

from mobilenet.errors import DataError

_TABLE = "_ILSVRC2012_Attr"  # rows of WordNet id, short name, long name


class Classes(NamedTuple):
    """The classes in label order.

    Attributes:
        lines: What `synset.txt` says of each: the name of its folder, then often words.
        labels: By the name of the folder.
        origin: Where the order comes from, for people.
    """

    lines: tuple[str, ...]
    labels: dict[str, int]
    origin: str


@functools.cache
def imagenet_words() -> dict[str, str]:
    """What each of ILSVRC2012's 1000 classes is called, by WordNet id, in label order."""
    # Gluoncv has the table, but importing it takes seconds: only the file with the table is read.
    spec = importlib.util.find_spec("gluoncv")
    assert spec and spec.origin, "gluoncv is required"
    file = Path(spec.origin).parent / "data" / "imagenet" / "classification.py"
    for statement in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == _TABLE:
            return {wordnet_id: words for wordnet_id, _, words in ast.literal_eval(statement.value)}
    raise LookupError(f"{file} has no {_TABLE}")


def numbered(names: Iterable[str], origin: str) -> Classes:
    """Classes whose labels are their positions among the given names."""
    names = tuple(names)
    return Classes(tuple(map(_with_words, names)), _ranks(names), origin)


def from_folders(folders: Collection[str]) -> Classes:
    """Labels when nobody says more: ImageNet's for its WordNet ids, else the rank of the name.

    WordNet ids always get their labels among all 1000 classes, also where only some are present.
    """
    if all(_is_wordnet_id(folder) for folder in folders) and imagenet_words().keys() >= {*folders}:
        return numbered(imagenet_words(), "ImageNet's 1000 classes")
    return numbered(sorted(folders), "the sorted names of the class folders")


def from_labels(folders: dict[int, str], num_labels: int) -> Classes:
    """The classes of images that come with labels, with the folders of the labels that have one."""
    if folders:
        ranked = from_folders(folders.values())
        if all(ranked.labels[folder] == label for label, folder in folders.items()):
            return ranked
    names = (folders.get(label, str(label)) for label in range(num_labels))
    return numbered(names, "the labels in the list")


def from_synset(content: bytes, where: str, folders: Collection[str]) -> Classes:
    """Labels from a text with one class per line: its folder's name, which words may follow.

    Raises:
        DataError: The text is malformed, names a class twice or lacks the class of a folder.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{where}: is no UTF-8 text with one class per line") from None
    lines = [line.strip() for line in text.rstrip().split("\n")]
    if not all(lines):
        raise DataError(f"{where}:{lines.index('') + 1}: the line is empty; it must name a class")
    # A folder's name may itself consist of several words.
    names = tuple(line if line in folders else line.split()[0] for line in lines)
    name, number = Counter(names).most_common(1)[0]
    if number > 1:
        raise DataError(f"{where}: names the class {name!r} {number} times")
    absent = sorted(set(folders) - set(names))
    if absent:
        more = f" (and for {len(absent) - 1} others)" if len(absent) > 1 else ""
        raise DataError(f"{where}: has no line for the class folder {absent[0]!r}{more}")
    described = (line if line != name else _with_words(name) for line, name in zip(lines, names))
    return Classes(tuple(described), _ranks(names), where)


def _ranks(names: Iterable[str]) -> dict[str, int]:
    return {name: label for label, name in enumerate(names)}


def _with_words(name: str) -> str:
    words = imagenet_words().get(name) if _is_wordnet_id(name) else None
    return f"{name} {words}" if words else name


def _is_wordnet_id(name: str) -> bool:
    return len(name) == 9 and name[0] == "n" and name[1:].isdecimal()
