"""Accuracy with several right classes per image, such as the reassessed labels of ImageNet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple, Sequence

from mobilenet.errors import DataError, reason
from mobilenet.metrics import Integers, Predictions

LabelSets = Sequence["frozenset[int]"]


class MultiLabelCounts(NamedTuple):
    """Counts over the images that have at least one label."""

    num_images: int
    num_top1: int
    """Images whose most probable class is one of their labels."""
    num_top5: int
    """Images with a label among the five most probable classes."""


def count(predictions: Predictions, label_sets: LabelSets) -> MultiLabelCounts:
    """The counts under `label_sets`, one per image; images without any label do not count.

    Source: Beyer et al., "Are we done with ImageNet?", 2020 (arXiv 2006.07159), section 3.
    """
    labelled = [
        (answers, labels)
        for answers, labels in zip(predictions.classes.tolist(), label_sets)
        if labels
    ]
    return MultiLabelCounts(
        len(labelled),
        sum(answers[0] in labels for answers, labels in labelled),
        sum(not labels.isdisjoint(answers) for answers, labels in labelled),
    )


def read_label_sets(path: Path, labels: Integers, num_classes: int) -> LabelSets:
    """Reads a JSON list with the list of right classes for each record, in order.

    This is the format of `real.json` (google-research/reassessed-imagenet), which is in the order
    of ILSVRC2012's validation images.

    Args:
        path: The file.
        labels: `(N,)`, the single label of every record, to detect a wrong order.
        num_classes: Number of classes of the model.

    Raises:
        DataError: The file is unreadable, has another format, or is about other records.
    """
    sets = [frozenset(entry) for entry in _read(path)]
    if len(sets) != len(labels):
        raise DataError(f"{path}: has labels of {len(sets)} images, but there are {len(labels)}")
    for place, entry in enumerate(sets):
        outside = [label for label in entry if not 0 <= label < num_classes]
        if outside:
            raise DataError(
                f"{path}: entry {place} has the label {outside[0]}, but the model has"
                f" {num_classes} classes"
            )
    pairs = [label in entry for label, entry in zip(labels.tolist(), sets) if entry]
    # Nine in ten of ImageNet's own labels are among the reassessed ones; hardly any after
    # shuffling.
    if 2 * sum(pairs) < len(pairs):
        raise DataError(
            f"{path}: has the records' own label for only {sum(pairs)} of {len(pairs)} images;"
            " it is about other records, or in another order"
        )
    return sets


def _read(path: Path) -> list[list[int]]:
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {reason(error)}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is no JSON ({error})") from None
    is_list = isinstance(content, list) and all(isinstance(entry, list) for entry in content)
    # In Python True is an int, but it is no class.
    if not is_list or not all(type(label) is int for entry in content for label in entry):
        raise DataError(f"{path}: must be a JSON list with a list of classes for every record")
    entries: list[list[int]] = content
    return entries
