"""The order of images depends on their names and the seed alone."""

from __future__ import annotations

import random

import pytest

from mobilenet.errors import DataError
from mobilenet.packing.folder_trees import File
from mobilenet.packing.image_order import Image, arranged, held_out, in_order, shuffled

NOWHERE = File("", 0, 0)
IMAGES = [
    Image(f"{label}/{number}.jpg", label, NOWHERE) for label in range(4) for number in range(50)
]


def test_shuffling_depends_on_seed_and_names_alone() -> None:
    mixed = random.Random(1).sample(IMAGES, len(IMAGES))
    assert shuffled(IMAGES, 5) == shuffled(mixed, 5) != shuffled(IMAGES, 6)
    assert sorted(shuffled(IMAGES, 5)) == sorted(IMAGES)


def test_the_order_is_fixed_for_ever() -> None:
    """Records that were prepared by an earlier version must be the same today."""
    images = [Image(f"c/{number}", 0, NOWHERE) for number in range(8)]
    assert [image.name[2:] for image in shuffled(images, 0)] == list("24503761")


def test_one_image_less_moves_no_other() -> None:
    less = [image for image in IMAGES if image.name != "2/7.jpg"]
    assert shuffled(less, 3) == [i for i in shuffled(IMAGES, 3) if i.name != "2/7.jpg"]


def test_shuffling_mixes_the_classes() -> None:
    """The mean position of each class is near the middle: 5 standard errors of a fair shuffle."""
    order = shuffled(IMAGES, 0)
    bound = 5 * (200**2 / 12 / 50) ** 0.5
    for label in range(4):
        positions = [i for i, image in enumerate(order) if image.label == label]
        assert abs(sum(positions) / 50 - 99.5) < bound


def test_validation_images_are_in_the_order_of_their_file_names() -> None:
    images = [Image(name, 0, NOWHERE) for name in ("b/1", "a/2", "c/1", "a/x/3")]
    assert [image.name for image in in_order(images)] == ["b/1", "c/1", "a/2", "a/x/3"]


@pytest.mark.parametrize("number", [1, 4, 49])
def test_held_out_images(number: int) -> None:
    order = shuffled(IMAGES, 2)
    rest, out = held_out(order, number)
    assert sorted(rest + out) == sorted(IMAGES)
    assert [sum(image.label == label for image in out) for label in range(4)] == [number] * 4
    assert rest == [image for image in order if image not in out]
    assert out == [image for image in order if image in out]


def test_holding_out_too_many() -> None:
    images = [image for image in IMAGES if image.name != "2/7.jpg"]
    with pytest.raises(DataError, match=r"49 .* leaves 1 of 4 classes without any; .* has 49"):
        held_out(shuffled(images, 2), 49)
    with pytest.raises(DataError, match="the source has none"):
        arranged({"val": IMAGES}, 0, 1)
