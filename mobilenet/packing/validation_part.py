"""Decides which part of a plain tree of class folders is set aside for validation."""

from __future__ import annotations

from typing import Mapping, Optional, Sequence

from mobilenet.errors import ConfigError
from mobilenet.packing.dataset_layouts import CLASS_FOLDERS
from mobilenet.packing.image_order import Image
from mobilenet.packing.image_sources import Source

DEFAULT = 0.2
MAX = 0.9


def part_of(source: Source, split: Optional[str], asked: Optional[float]) -> float:
    """The part of the training images of each class to set aside.

    Args:
        source: What is packed.
        split: The one split that is asked for, if only one is.
        asked: The part that the user wants; None if he does not say: a plain tree of class folders
            is then divided, and no other source.

    Raises:
        ConfigError: A part is asked for, and there are other images for validation.
    """
    if asked is None:
        return DEFAULT if source.layout == CLASS_FOLDERS and split is None else 0.0
    if "val" in source.splits:
        raise ConfigError("--val has no effect: the source has validation images of its own")
    return asked


def sentence(part: float, images: Mapping[str, Sequence[Image]]) -> str:
    """What was set aside, and how another part is."""
    num_val, total = len(images.get("val", ())), sum(map(len, images.values()))
    if not part:
        return f"no image of {total:,} is set aside for validation"
    single = len({image.label for image in images["train"]}) - len(
        {image.label for image in images.get("val", ())}
    )
    alone = f" ({single:,} classes have a single image, which stays for training)" if single else ""
    return (
        f"{num_val:,} of {total:,} images, {part:.0%} of each class, are set aside for"
        f" validation{alone}; --val sets another part aside, --val 0 none"
    )
