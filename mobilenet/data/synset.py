"""`synset.txt`: the names of the classes, one line per class in label order."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Sequence

from mobilenet.data.class_folder_labels import class_id, from_folders, imagenet_words
from mobilenet.data.record_folder import SYNSET
from mobilenet.errors import DataError, reason

_NUM_IMAGENET_CLASSES = 1000


def read_synset(folder: Path) -> tuple[str, ...]:
    """The lines of the folder's synset.txt; none if it has no such file, or an empty one.

    Raises:
        DataError: It is no text, or cannot be read.
    """
    path = folder / SYNSET
    return read_lines(path) if path.is_file() else ()


def synset_of(parameters: Path) -> Path:
    """The path of the class names of NAME.params: NAME-synset.txt beside it."""
    return parameters.with_name(f"{parameters.stem}-{SYNSET}")


def nearest_synset(parameters: Path, folder: Path) -> Path:
    """The path of the class names of a .params file: beside it, or else in the data folder."""
    own = synset_of(parameters)
    return own if own.is_file() else folder / SYNSET


def read_lines(path: Path) -> tuple[str, ...]:
    """The lines of a text file, one per class; none if it is empty.

    Raises:
        DataError: It cannot be read, or is no text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {reason(error)}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: is no UTF-8 text with one class per line") from None
    return tuple(line.strip() for line in text.rstrip().split("\n")) if text.strip() else ()


def names_of_classes(lines: Sequence[str], num_classes: int) -> tuple[str, ...]:
    """The lines; if there are none, ImageNet's for 1000 classes, else `class 0` and so on."""
    if lines:
        return tuple(lines)
    if num_classes == _NUM_IMAGENET_CLASSES:
        return from_folders(imagenet_words()).lines
    return tuple(f"class {label}" for label in range(num_classes))


def spoken_names(lines: Sequence[str]) -> tuple[str, ...]:
    """The names without WordNet ids, except where two classes would have the same name.

    For instance, ImageNet has cranes that are birds and cranes that are machines.
    """
    words = [line[len(class_id(line)) :].strip() or line for line in lines]
    number = Counter(words)
    return tuple(word if number[word] == 1 else line for word, line in zip(words, lines))
