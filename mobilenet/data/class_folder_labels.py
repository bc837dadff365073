"""Turns class folders into labels, and finds the classes of a data set among those of a model.

Packing, validation and prediction use the same rules for the labels:

* if there is a `synset.txt`, its lines are the classes in label order;
* WordNet ids of ImageNet have ImageNet's labels 0 to 999, even if only some are present;
* folders whose names are all whole numbers are sorted by number: 0, 1, 2, 10;
* other folders are sorted alphabetically.

Classes of the data are matched with those of a model by name. If folders are named by numbers and
the model's classes are not, the numbers are labels of the model.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Collection, Iterable, NamedTuple, Sequence

from mobilenet.errors import DataError

_TABLE = "_ILSVRC2012_Attr"  # rows of WordNet id, short name, long name
_MAX_DIGITS = 9


class Classes(NamedTuple):
    """The classes in label order.

    Attributes:
        lines: The lines of `synset.txt`: the name of each class folder, often followed by words.
        labels: The label of each class folder, by its name.
        origin: Where the order comes from, for messages.
    """

    lines: tuple[str, ...]
    labels: dict[str, int]
    origin: str

    @property
    def is_imagenets(self) -> bool:
        """Whether they are ImageNet's 1000 classes, in any order."""
        return self.labels.keys() == imagenet_words().keys()


@functools.cache
def imagenet_words() -> dict[str, str]:
    """The names of ILSVRC2012's 1000 classes by WordNet id, in label order."""
    # Gluoncv has the table, but importing it takes seconds: only the file with the table is read.
    spec = importlib.util.find_spec("gluoncv")
    assert spec and spec.origin, "gluoncv is required"
    file = Path(spec.origin).parent / "data" / "imagenet" / "classification.py"
    for statement in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == _TABLE:
            return {wordnet_id: words for wordnet_id, _, words in ast.literal_eval(statement.value)}
    raise LookupError(f"{file} has no {_TABLE}")


def from_folders(folders: Collection[str]) -> Classes:
    """The classes of folders without a `synset.txt`, by the rules of this module.

    Args:
        folders: Names of the class folders.
    """
    if all(map(_is_wordnet_id, folders)) and imagenet_words().keys() >= {*folders}:
        return _in_order(imagenet_words(), "ImageNet's 1000 classes")
    numbers = _numbers(folders)
    if numbers:
        in_order = sorted(folders, key=numbers.__getitem__)
        return _in_order(in_order, "the numbers that the class folders are named by")
    return _in_order(sorted(folders), "the sorted names of the class folders")


def from_labels(folders: dict[int, str], num_labels: int) -> Classes:
    """The classes of images that come with labels, with the folders of the labels that have one."""
    if folders:
        ranked = from_folders(folders.values())
        if all(ranked.labels[folder] == label for label, folder in folders.items()):
            return ranked
    names = (folders.get(label, str(label)) for label in range(num_labels))
    return _in_order(names, "the labels in the list")


def from_synset(content: bytes, where: str, folders: Collection[str]) -> Classes:
    """Labels from a text with one class per line: its folder's name, which words may follow.

    Args:
        content: The text.
        where: What messages call it.
        folders: Names of the class folders, in Unicode's form NFC (`composed`).

    Raises:
        DataError: The text is malformed, names a class twice or lacks the class of a folder.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{where}: is no UTF-8 text with one class per line") from None
    lines = [composed(line.strip()) for line in text.rstrip().split("\n")]
    if not all(lines):
        raise DataError(f"{where}:{lines.index('') + 1}: the line is empty; it must name a class")
    names = _folders_of(lines, folders)
    name, number = Counter(names).most_common(1)[0]
    if number > 1:
        raise DataError(f"{where}: names the class {name!r} {number} times")
    absent = sorted(set(folders) - set(names))
    if absent:
        more = f" (and for {len(absent) - 1} others)" if len(absent) > 1 else ""
        raise DataError(f"{where}: has no line for the class folder {absent[0]!r}{more}")
    described = (line if line != name else _with_words(name) for line, name in zip(lines, names))
    return Classes(tuple(described), _ranks(names), where)


def _folders_of(lines: Sequence[str], folders: Collection[str]) -> list[str]:
    """The folder that each line names, by the whole line or else by its first word.

    For a line without a folder it is unknown how many words are the name.
    """
    names = []
    for line in lines:
        first = line.split()[0]
        has_first = first in folders and first not in lines
        names.append(first if has_first and line not in folders else class_id(line))
    return names


def labels_in_model(classes: Sequence[str], model_classes: Sequence[str], where: Path) -> list[int]:
    """The model's label of each class of a data set.

    Args:
        classes: Class folders, or lines of a `synset.txt`.
        model_classes: What the model's classes are called, in label order.
        where: The data, for messages.

    Raises:
        DataError: The model lacks a class.
    """
    ids, model_ids = list(map(class_id, classes)), list(map(class_id, model_classes))
    if ids == model_ids:
        return list(range(len(ids)))  # also where two classes have the same name
    if are_labels(classes, model_classes):
        return list(map(int, classes))
    labels = {**_unique_first_words(model_ids), **_ranks(model_ids)}
    absent = [name for name, identity in zip(classes, ids) if identity not in labels]
    if len(absent) == len(classes) != len(model_ids):
        raise DataError(
            f"{where}: has {len(classes)} classes, such as '{classes[0]}', but the model has"
            f" {len(model_ids)} others, such as '{model_classes[0]}'"
        )
    if absent:
        raise DataError(
            f"{where}: its class '{absent[0]}' is none of the model's {len(model_ids)} classes,"
            f" such as '{model_classes[0]}'"
        )
    return [labels[identity] for identity in ids]


def are_labels(classes: Sequence[str], model_classes: Sequence[str]) -> bool:
    """Whether the data's classes are labels of the model: numbers, unlike the model's names."""
    numbers = _numbers(classes)
    is_named_by_numbers = any(map(_is_number, model_classes))
    fits = max(numbers.values(), default=len(model_classes)) < len(model_classes)
    return fits and not is_named_by_numbers


def class_id(line: str) -> str:
    """The identifier of the class of a line: its WordNet id, or the whole line."""
    line = composed(line)
    first = line.split(" ", 1)[0]
    return first if _is_wordnet_id(first) else line


def composed(name: str) -> str:
    """The name in Unicode's form NFC: macOS writes accents as characters of their own."""
    return unicodedata.normalize("NFC", name)


def _in_order(names: Iterable[str], origin: str) -> Classes:
    names = tuple(names)
    return Classes(tuple(map(_with_words, names)), _ranks(names), origin)


def _ranks(names: Iterable[str]) -> dict[str, int]:
    return {name: label for label, name in enumerate(names)}


def _unique_first_words(lines: Sequence[str]) -> dict[str, int]:
    """The label of each first word that is unique among the lines."""
    words = [line.split(" ", 1)[0] for line in lines]
    number = Counter(words)
    return {word: label for word, label in _ranks(words).items() if number[word] == 1}


def _numbers(names: Collection[str]) -> dict[str, int]:
    """The number that each name is; empty if one is no number, or two are the same."""
    if not all(map(_is_number, names)):
        return {}
    numbers = {name: int(name) for name in names}
    return numbers if len({*numbers.values()}) == len(names) else {}


def _is_number(name: str) -> bool:
    return name.isdecimal() and len(name) <= _MAX_DIGITS


def _with_words(name: str) -> str:
    words = imagenet_words().get(name) if _is_wordnet_id(name) else None
    return f"{name} {words}" if words else name


def _is_wordnet_id(name: str) -> bool:
    return len(name) == 9 and name[0] == "n" and name[1:].isdecimal()
