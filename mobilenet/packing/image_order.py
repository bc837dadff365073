"""Labelled images of a source, and the orders in which they are stored.

An order depends on nothing but the names and the seed: not on where the images come from, nor on
the number of processors, nor on the version of a random number generator.
"""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from typing import Iterable, Mapping, NamedTuple

from mobilenet.errors import DataError
from mobilenet.packing.folder_trees import File


class Image(NamedTuple):
    """An image; its name is `class folder/path in that folder`."""

    name: str
    label: int
    file: File


def arranged(
    splits: dict[str, list[Image]], seed: int, num_held_out: int, set_aside: float = 0.0
) -> dict[str, list[Image]]:
    """The images of each record file in the order in which they are stored.

    Args:
        splits: The images of `train` and `val`, or of one of them.
        seed: Decides about the order of the training images, and which of them are held out.
        num_held_out: Training images of each class to hold out, as a third split `minival`.
        set_aside: Part of the images of each class that becomes the split `val` of a source that
            has training images alone.

    Raises:
        DataError: There are not enough training images to hold so many out.
    """
    stored = {}
    if "train" in splits:
        stored["train"] = shuffled(splits["train"], seed)
    if "val" in splits:
        stored["val"] = in_order(splits["val"])
    elif set_aside:
        stored["train"], val = divided(stored["train"], set_aside)
        stored.update({"val": in_order(val)} if val else {})
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


def divided(images: list[Image], fraction: float) -> tuple[list[Image], list[Image]]:
    """Splits off the first images of each class, a fraction of them.

    A class of two images or more has at least one in each part, a single image is not split off.

    Returns:
        The other images and those split off, both in the order given.
    """
    totals = Counter(image.label for image in images)
    return _split_off(
        images, {n: min(total - 1, max(1, round(fraction * total))) for n, total in totals.items()}
    )


def held_out(images: list[Image], number: int) -> tuple[list[Image], list[Image]]:
    """Splits off the first `number` images of each class.

    Returns:
        The other images and those held out, both in the order given.

    Raises:
        DataError: A class would have no image left.
    """
    totals = Counter(image.label for image in images)
    emptied = [label for label, total in totals.items() if total <= number]
    if emptied:
        raise DataError(
            f"holding out {number} training images of each class leaves {len(emptied)} of "
            f"{len(totals)} classes without any; the smallest has {min(totals.values())}"
        )
    return _split_off(images, dict.fromkeys(totals, number))


def _split_off(images: list[Image], numbers: Mapping[int, int]) -> tuple[list[Image], list[Image]]:
    """Splits off the first so many images of each label; both parts are in the order given."""
    seen: Counter[int] = Counter()
    rest: list[Image] = []
    out: list[Image] = []
    for image in images:
        seen[image.label] += 1
        (out if seen[image.label] <= numbers[image.label] else rest).append(image)
    return rest, out
