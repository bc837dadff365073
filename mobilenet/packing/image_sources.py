"""Lists the images of a data set in whatever form, and labels them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Callable, Collection, Iterable, Optional, Sequence

from mobilenet.data import class_folder_labels
from mobilenet.data.class_folder_labels import Classes, composed
from mobilenet.data.record_folder import SYNSET
from mobilenet.errors import DataError
from mobilenet.packing import dataset_layouts, ilsvrc2012
from mobilenet.packing.dataset_layouts import Layout
from mobilenet.packing.folder_trees import DiskFolder, File, Folder, file_at, walk
from mobilenet.packing.im2rec_lists import LIST_SUFFIX, folder_names, read_list
from mobilenet.packing.image_order import Image

_MAX_EXAMPLES = 5
_MAX_TEXT_BYTES = 1 << 26

_Files = dict[str, list[tuple[str, File]]]  # of each class, with their paths in its folder


@dataclass(frozen=True)
class Request:
    """What to look for.

    Attributes:
        paths: A folder, a tar, the tars of ILSVRC2012, or lists of im2rec.
        synset: File with one class per line in label order.
        split: The one split to take; also what a source without splits is called.
        root: What paths in a list are relative to, if not to its folder.
        spool: File to unpack a tar.gz to.
        say: Shows a line to the user.
        is_tolerant: Class folders without images are `empty`, and images outside of class folders
            `ignored`, instead of refused.
    """

    paths: tuple[Path, ...]
    synset: Optional[Path]
    split: Optional[str]
    root: Optional[Path]
    spool: Path
    say: Callable[[str], None]
    is_tolerant: bool = False


@dataclass(frozen=True)
class Source:
    """The labelled images of each split, in no order.

    Attributes:
        layout: One of `layouts.Layout`, or `im2rec-list`.
        ignored: What is in the source but is no image, or not in a split.
        empty: Names of the classes without images.
    """

    layout: str
    splits: dict[str, list[Image]]
    classes: Classes
    ignored: list[str]
    empty: list[str] = field(default_factory=list)

    @property
    def left_out(self) -> str:
        """A sentence about what is in the source but is not used; nothing if all is used."""
        kinds = {
            "ignored, because they are no images": self.ignored,
            "class folders without images": self.empty,
        }
        return "; ".join(f"{kind}: {some_of(names)}" for kind, names in kinds.items() if names)

    @cached_property
    def odd_counts(self) -> list[str]:
        """How a source that is meant to be all of ILSVRC2012 differs from it.

        One with some of its classes is meant to be a part, up to half of them.
        """
        warnings = []
        for split, images in self.splits.items():
            num_classes = len({image.label for image in images})
            has_most = self.classes.is_imagenets and num_classes > ilsvrc2012.NUM_CLASSES // 2
            found = (len(images), num_classes)
            expected = (ilsvrc2012.NUM_IMAGES[split], ilsvrc2012.NUM_CLASSES)
            if (has_most or self.layout in ("ilsvrc-tars", "kaggle")) and found != expected:
                warnings.append(
                    f"{split} has {found[0]:,} images of {found[1]:,} classes, "
                    f"but ILSVRC2012 has {expected[0]:,} of {expected[1]:,}"
                )
        return warnings


def find(request: Request) -> Source:
    """Lists and labels every image of a source.

    Raises:
        DataError: There is nothing to pack, or it is not what its layout says it must be.
    """
    if all(path.suffix == LIST_SUFFIX for path in request.paths):
        source = _from_lists(request)
    elif request.root is not None:
        raise DataError(f"a root ({request.root}) goes with .lst files, and the source is none")
    else:
        source = _from_folders(request)
    _check_labels(source)
    return source


def _check_labels(source: Source) -> None:
    labels = {split: {image.label for image in images} for split, images in source.splits.items()}
    for split in (split for split, found in labels.items() if not found):
        raise DataError(f"there are no images for the split {split!r}")
    if labels.keys() == {"train", "val"}:
        for label in sorted(labels["val"] - labels["train"]):
            raise DataError(
                f"the class {source.classes.lines[label]!r} (label {label}) has validation images "
                "but no training images"
            )


def _from_folders(request: Request) -> Source:
    layout = dataset_layouts.find(request.paths, request.split, request.spool, request.say)
    ignored = list(layout.unused)
    files = {
        split: _by_class(split, folder, layout, ignored, request.is_tolerant)
        for split, folder in layout.splits.items()
    }
    names = {name for by_class in files.values() for name in by_class}
    classes = _from_synset(request, layout.around, names) or class_folder_labels.from_folders(names)
    splits = {
        split: [
            Image(f"{name}/{path}", classes.labels[name], file)
            for name, members in by_class.items()
            for path, file in members
        ]
        for split, by_class in files.items()
    }
    empty = sorted(name for name in names if not any(own.get(name) for own in files.values()))
    return Source(layout.name, splits, classes, ignored, empty)


def some_of(names: Sequence[str]) -> str:
    """The first of many names, and how many there are."""
    more = ", ..." if len(names) > _MAX_EXAMPLES else ""
    return f"{', '.join(names[:_MAX_EXAMPLES])}{more} ({len(names):,})"


def _by_class(
    split: str, folder: Folder, layout: Layout, ignored: list[str], is_tolerant: bool
) -> _Files:
    """The images of each class; adds what is no image to `ignored`."""
    others: list[tuple[str, Optional[File]]] = [(name, None) for name in folder.others]
    flat = _images(split, [*folder.files.items(), *others], ignored)
    if flat and folder.folders and is_tolerant:
        ignored += [f"{split}/{name}" for name, _ in flat]
    elif flat and folder.folders:
        raise DataError(f"{folder.path}: the image {flat[0][0]!r} is outside of the class folders")
    elif flat and split == "val":
        return _by_solution(folder.path, flat, ilsvrc2012.validation_classes(layout.around))
    if not folder.folders:
        raise DataError(f"{folder.path}: has no class folders")
    by_class: _Files = {}
    for spelling, inner in folder.folders.items():
        name = composed(spelling)
        if name in by_class:
            raise DataError(f"{inner.path}: is there twice, with its accents written in two ways")
        by_class[name] = _images(f"{split}/{spelling}", walk(inner), ignored)
        if not by_class[name] and not is_tolerant:
            raise DataError(f"{inner.path}: the class folder holds no images")
    return by_class


def _images(
    where: str, entries: Iterable[tuple[str, Optional[File]]], ignored: list[str]
) -> list[tuple[str, File]]:
    images = []
    for path, file in entries:
        if file is not None and dataset_layouts.is_image(path):
            images.append((path, file))
        else:
            ignored.append(f"{where}/{path}")
    return images


def _by_solution(where: str, flat: list[tuple[str, File]], solution: dict[str, str]) -> _Files:
    """Images that lie side by side, by the classes that the organisers' solution gives them."""
    by_class: _Files = defaultdict(list)
    for name, file in flat:
        stem = PurePosixPath(name).stem
        if stem not in solution:
            raise DataError(f"{where}/{name}: the labels of the validation images do not have it")
        by_class[solution[stem]].append((name, file))
    return by_class


def _from_synset(
    request: Request, around: Iterable[Folder], names: Collection[str]
) -> Optional[Classes]:
    """The classes as the given synset file orders them, or as one in the source does."""
    if request.synset is not None:
        content = _text(file_at(request.synset), str(request.synset))
        return class_folder_labels.from_synset(content, str(request.synset), names)
    for folder in around:
        if SYNSET in folder.files:
            where = f"{folder.path}/{SYNSET}"
            content = _text(folder.files[SYNSET], where)
            return class_folder_labels.from_synset(content, where, names)
    return None


def _text(file: File, where: str) -> bytes:
    if file.size > _MAX_TEXT_BYTES:
        raise DataError(f"{where}: has {file.size:,} bytes, which no list of classes has")
    return file.read()


def _from_lists(request: Request) -> Source:
    splits: dict[str, list[Image]] = {}
    for path in request.paths:
        split = "val" if "val" in path.stem.lower() else "train"
        if len(request.paths) == 1 and request.split:
            split = request.split
        if split in splits:
            raise DataError(f"{path}: is a second list for the split {split!r}")
        request.say(f"{path}: taken for the split {split!r}")
        splits[split] = list(read_list(path, request.root or path.parent))
    images = [image for images in splits.values() for image in images]
    around = [DiskFolder(str(path.parent)) for path in request.paths]
    return Source("im2rec-list", splits, _classes_of_lists(request, around, images), [])


def _classes_of_lists(
    request: Request, around: Iterable[Folder], images: Iterable[Image]
) -> Classes:
    """The classes of images that have their labels already."""
    num_labels = max((image.label + 1 for image in images), default=0)
    names = folder_names(images)
    given = _from_synset(request, around, names.values())
    if given is None:
        return class_folder_labels.from_labels(names, num_labels)
    for label, name in names.items():
        if given.labels[name] != label:
            raise DataError(
                f"the list labels the folder {name!r} {label}, but in {given.origin} its label is "
                f"{given.labels[name]}"
            )
    if num_labels > len(given.lines):
        raise DataError(
            f"the list has the label {num_labels - 1}, but {given.origin} only {len(given.lines)} "
            "lines"
        )
    return given
