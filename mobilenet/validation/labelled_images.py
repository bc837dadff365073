"""Opens the labelled images for a validation, and maps their labels to the model's classes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Iterable, Sequence

import numpy as np

from mobilenet.data import record_folder
from mobilenet.data.class_folder_labels import (
    are_labels,
    class_id,
    imagenet_words,
    labels_in_model,
)
from mobilenet.data.image_decoding import Encoded
from mobilenet.data.record_file import RecordFile
from mobilenet.data.record_folder import SYNSET
from mobilenet.data.synset import names_of_classes, read_synset
from mobilenet.errors import DataError
from mobilenet.metrics import Integers
from mobilenet.packing import ilsvrc2012
from mobilenet.packing.folder_trees import DiskFolder, File
from mobilenet.packing.image_sources import Request, find
from mobilenet.progress_bar import say

_RECORD_FILE = "val.rec"
_ILSVRC2012_LAYOUTS = ("ilsvrc-tars", "kaggle")


@dataclass
class ValidationSet:
    """Labelled images in a fixed order, for a reader.

    Attributes:
        path: The record file or folder.
        files: Gives the encoded image at a position.
        labels: `(N,)`, labels among the model's classes.
        keys: `(N,)`, the key of each image in the index, or its name in the folder.
        class_names: The model's class names, in label order.
        classes: The labels of the classes that the data have, or that were chosen, in order.
        num_missing: How many of ILSVRC2012's validation images are missing, negative if there are
            too many; 0 for other data.
    """

    path: Path
    files: RecordFile | _ImageFiles | _SomeFiles
    labels: Integers
    keys: Sequence[int | str]
    class_names: tuple[str, ...]
    classes: Integers
    num_missing: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def gap(self) -> str:
        """Why accuracies are not comparable with those on ILSVRC2012, to follow `path`; or ''."""
        total = f"the {ilsvrc2012.NUM_IMAGES['val']} validation images of ILSVRC2012"
        if self.num_missing < 0:
            return f"has {-self.num_missing} images more than {total}"
        return f"lacks {self.num_missing} of {total}" if self.num_missing else ""

    def label(self, position: int) -> int:
        """The label among the model's classes."""
        return int(self.labels[position])

    def image(self, position: int) -> Encoded:
        """The encoded image."""
        return self.files.image(position)

    def name(self, position: int) -> str:
        """The image's name in messages, to follow `path`."""
        return self.files.name(position)

    def of_classes(self, ids: Sequence[str], where: Path) -> ValidationSet:
        """The images of some classes, given by WordNet ids or whole lines of the synset.

        Args:
            ids: The classes, in any order.
            where: The file that names them, for messages.

        Raises:
            DataError: A class is none of the model's, or there is no image of any.
        """
        labels = {class_id(name): label for label, name in enumerate(self.class_names)}
        unknown = [line for line in ids if class_id(line) not in labels]
        if unknown:
            raise DataError(
                f"{where}: '{unknown[0]}' is none of the model's {len(labels)} classes, such as"
                f" '{self.class_names[0]}'"
            )
        classes = np.unique([labels[class_id(line)] for line in ids]).astype(np.int64)
        places = np.flatnonzero(np.isin(self.labels, classes))
        if not len(places):
            raise DataError(f"{where}: {self.path} has no image of these classes")
        return replace(
            self,
            files=_SomeFiles(self.files, places),
            labels=self.labels[places],
            keys=[self.keys[place] for place in places],
            classes=classes,
        )

    def labelled_image(self, position: int) -> tuple[int, Encoded]:
        """The label and the encoded image."""
        return self.label(position), self.image(position)


def open_validation_set(
    path: Path, model_classes: Sequence[str], num_classes: int
) -> ValidationSet:
    """Opens a record file, a folder with val.rec, or a folder with a folder of images per class.

    Where both sides have class names, labels are matched by name: records may have their classes in
    another order, or only some of them.

    Args:
        path: The record file or folder.
        model_classes: Lines of the model's synset; empty if unknown.
        num_classes: Number of classes of the model.

    Raises:
        DataError: The data are missing, empty or damaged, or have a class that the model does not
            have.
    """
    if path.is_dir() and not (path / _RECORD_FILE).exists():
        return _open_folder(path, model_classes, num_classes)
    record_path = path / _RECORD_FILE if path.is_dir() else path
    records = RecordFile(record_path)
    labels = records.labels()
    lines = read_synset(record_path.parent)
    names = _names(model_classes, lines, num_classes, record_path)
    mapping = _mapping(lines or names, names, bool(model_classes) or not lines, record_path)
    if model_classes and not lines:
        say(f"warning: {record_path}: has no {SYNSET}; its labels are taken for the model's")
    _check_labels(labels, len(mapping), record_path)
    return ValidationSet(
        record_path,
        records,
        mapping[labels],
        list(records.file_names) or records.keys.tolist(),
        names,
        np.unique(mapping),
        _num_missing(record_path, lines, len(records)),
    )


def _check_labels(labels: Integers, num_classes: int, path: Path) -> None:
    wrong = np.flatnonzero(labels >= num_classes)
    if len(wrong):
        raise DataError(
            f"{path}: record {wrong[0]} has the label {labels[wrong[0]]}, but there are"
            f" {num_classes} classes, 0 to {num_classes - 1}"
        )


def _num_missing(path: Path, lines: Sequence[str], num_records: int) -> int:
    """How many of ILSVRC2012's validation images are missing; 0 for other data.

    Raises:
        DataError: The manifest beside the records states another number of records.
    """
    num_missing = _num_missing_of(map(class_id, lines), num_records)
    manifest = record_folder.manifest_of(path.parent)
    if manifest is None:
        return num_missing
    for split, facts in manifest.splits.items():
        if facts.record_file == path.name:
            if facts.num_records != num_records:
                raise DataError(
                    f"{path}: its index has {num_records} records, but its manifest says"
                    f" {facts.num_records}; `mobilenet verify` tells more"
                )
            if split != "val":
                return 0
            if manifest.source.get("layout") in _ILSVRC2012_LAYOUTS:
                return ilsvrc2012.NUM_IMAGES["val"] - num_records
    return num_missing


def _num_missing_of(class_ids: Iterable[str], num_images: int) -> int:
    """Images with exactly ImageNet's 1000 classes are taken for its validation images."""
    is_imagenet = set(class_ids) == imagenet_words().keys()
    return ilsvrc2012.NUM_IMAGES["val"] - num_images if is_imagenet else 0


def _names(
    model_classes: Sequence[str], lines: Sequence[str], num_classes: int, where: Path
) -> tuple[str, ...]:
    """The model's class names: its own, else those of data with the same number of classes."""
    if model_classes and len(model_classes) != num_classes:
        raise DataError(
            f"{where}: the model has {num_classes} classes, but {len(model_classes)} names for them"
        )
    if not model_classes and len(lines) == num_classes:
        return tuple(lines)
    return names_of_classes(model_classes, num_classes)


def _mapping(classes: Sequence[str], names: Sequence[str], is_named: bool, where: Path) -> Integers:
    """The model's label for each class of the data; warns if it is assumed, not matched by name.

    Args:
        classes: Class folders, or lines of a `synset.txt`.
        names: Of the model's classes.
        is_named: Whether the model has these names itself.
        where: The data, for messages.
    """
    labels = labels_in_model(classes, names, where)
    assumed = ""
    if are_labels(classes, names):
        assumed = "the numbers that its classes are named by are taken for the model's labels"
    elif not is_named and not {class_id(name) for name in names} <= imagenet_words().keys():
        assumed = "its classes are taken for the model's, in the same order"
    if assumed:
        reason = "" if is_named else " (the model does not name its classes)"
        say(f"warning: {where}: {assumed}{reason}")
    return np.array(labels, np.int64)


@dataclass(frozen=True)
class _ImageFiles:
    files: Sequence[File]
    names: Sequence[str]

    def image(self, position: int) -> bytes:
        return self.files[position].read()

    def name(self, position: int) -> str:
        return self.names[position]


@dataclass(frozen=True)
class _SomeFiles:
    files: RecordFile | _ImageFiles | _SomeFiles
    places: Integers

    def image(self, position: int) -> Encoded:
        return self.files.image(int(self.places[position]))

    def name(self, position: int) -> str:
        return self.files.name(int(self.places[position]))


def _open_folder(path: Path, model_classes: Sequence[str], num_classes: int) -> ValidationSet:
    """The images in the folder that `mobilenet prepare --split val` would pack."""
    if not DiskFolder(str(path)).folders:
        raise DataError(
            f"{path}: has neither {_RECORD_FILE} nor a folder of images per class; `mobilenet"
            f" prepare` makes {_RECORD_FILE} of photos, and sets them aside with --val 0.2"
        )
    request = Request((path,), None, "val", None, path, say=_silent, is_tolerant=True)
    source = find(request)
    if source.left_out:
        say(f"warning: {path}: {source.left_out}")
    images = sorted(source.splits["val"], key=lambda image: image.name.split("/"))
    names = _names(model_classes, source.classes.lines, num_classes, path)
    of_data = np.array([image.label for image in images])
    present, places = np.unique(of_data, return_inverse=True)
    lines = [source.classes.lines[label] for label in present]
    labels = _mapping(lines, names, bool(model_classes), path)[places]
    keys = [image.name for image in images]
    num_missing = _num_missing_of([*map(class_id, lines), *source.empty], len(images))
    files = _ImageFiles([image.file for image in images], keys)
    return ValidationSet(path, files, labels, keys, names, np.unique(labels), num_missing)


def _silent(_: str) -> None:
    """Suppresses messages of `prepare` about the layout, which do not concern a validation."""
