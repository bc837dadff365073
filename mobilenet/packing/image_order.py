"""Labelled images of a source, and the orders in which they are stored.

An order depends on nothing but the names and the seed: not on where the images come from, nor on
the number of processors, nor on the version of a random number generator.
"""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from typing import Iterable, NamedTuple

from mobilenet.errors import DataError
from mobilenet.packing.folder_trees import File


class Image(NamedTuple):
    """An image; its name is `class folder/path in that folder`."""

    name: str
    label: int
    file: File


def arranged(
    splits: dict[str, list[Image]], seed: int, num_held_out: int
) -> dict[str, list[Image]]:
    """The images of each record file in the order in which they are stored.

    Args:
        splits: The images of `train` and `val`, or of one of them.
        seed: Decides about the order of the training images, and which of them are held out.
        num_held_out: Training images of each class to hold out, as a third split `minival`.

    Raises:
        DataError: There are not enough training images to hold so many out.
    """
    stored = {}
    if "train" in splits:
        stored["train"] = shuffled(splits["train"], seed)
    if "val" in splits:
        stored["val"] = in_order(splits["val"])
    if num_held_out:
        if "train" not in splits:
            raise DataError("minival is held out of the training images, and the source has none")
        stored["train"], minival = held_out(stored["train"], num_held_out)
        stored["minival"] = in_order(minival)
    return stored


def shuffled(images: Iterable[Image], seed: int) -> list[Image]:
    """The images sorted by a hash of (seed, name): an image more or less moves no other."""

    def rank(image: Image) -> bytes:
        return blake2b(f"{seed}/{image.name}".encode(), digest_size=8).digest()

    return sorted(sorted(images), key=rank)


def in_order(images: Iterable[Image]) -> list[Image]:
    """The images by file name, then by class: ILSVRC2012's validation images in their own order."""
    return sorted(images, key=lambda image: (image.name.rpartition("/")[2], image.name))


def held_out(images: list[Image], number: int) -> tuple[list[Image], list[Image]]:
    """Splits off the first `number` images of each class.

    Returns:
        The other images and those held out, both in the order given.

    Raises:
        DataError: A class would have no image left.
    """
    seen: Counter[int] = Counter()
    rest: list[Image] = []
    out: list[Image] = []
    for image in images:
        seen[image.label] += 1
        (out if seen[image.label] <= number else rest).append(image)
    emptied = [label for label, total in seen.items() if total <= number]
    if emptied:
        raise DataError(
            f"holding out {number} training images of each class leaves {len(emptied)} of "
            f"{len(seen)} classes without any; the smallest has {min(seen.values())}"
        )
    return rest, out
