"""RandAugment, TrivialAugment and AutoAugment: random operations on the pixels of a crop.

Operations, ranges, signs and fill are those of torchvision 0.13 on PIL images
(torchvision/transforms/autoaugment.py), bilinear as in its training recipes.
"""

from __future__ import annotations

from typing import Callable, Iterator, Literal, NamedTuple, Optional, Sequence

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance, ImageOps

Draws = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]
Policy = Literal["randaugment", "trivialaugment", "autoaugment"]
Space = dict[str, Sequence[float]]  # the magnitudes of each operation, from weak to strong

NUM_DRAWS = 5
"""Uniform random numbers for each image."""
_NUM_MAGNITUDES = 31  # of RandAugment and TrivialAugment
_DEFAULT_MAGNITUDE = 9  # of RandAugment, in torchvision's recipes

_SIGNED = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate",
           "Brightness", "Color", "Contrast", "Sharpness")  # fmt: skip

# Pairs of (operation, probability, magnitude of 0 to 9), in the order of torchvision.
_IMAGENET_PAIRS = (
    (("Posterize", 0.4, 8), ("Rotate", 0.6, 9)),
    (("Solarize", 0.6, 5), ("AutoContrast", 0.6, 0)),
    (("Equalize", 0.8, 0), ("Equalize", 0.6, 0)),
    (("Posterize", 0.6, 7), ("Posterize", 0.6, 6)),
    (("Equalize", 0.4, 0), ("Solarize", 0.2, 4)),
    (("Equalize", 0.4, 0), ("Rotate", 0.8, 8)),
    (("Solarize", 0.6, 3), ("Equalize", 0.6, 0)),
    (("Posterize", 0.8, 5), ("Equalize", 1.0, 0)),
    (("Rotate", 0.2, 3), ("Solarize", 0.6, 8)),
    (("Equalize", 0.6, 0), ("Posterize", 0.4, 6)),
    (("Rotate", 0.8, 8), ("Color", 0.4, 0)),
    (("Rotate", 0.4, 9), ("Equalize", 0.6, 0)),
    (("Equalize", 0.0, 0), ("Equalize", 0.8, 0)),
    (("Invert", 0.6, 0), ("Equalize", 1.0, 0)),
    (("Color", 0.6, 4), ("Contrast", 1.0, 8)),
    (("Rotate", 0.8, 8), ("Color", 1.0, 2)),
    (("Color", 0.8, 8), ("Solarize", 0.8, 7)),
    (("Sharpness", 0.4, 7), ("Invert", 0.6, 0)),
    (("ShearX", 0.6, 5), ("Equalize", 1.0, 0)),
    (("Color", 0.4, 0), ("Equalize", 0.6, 0)),
    (("Equalize", 0.4, 0), ("Solarize", 0.2, 4)),
    (("Solarize", 0.6, 5), ("AutoContrast", 0.6, 0)),
    (("Invert", 0.6, 0), ("Equalize", 1.0, 0)),
    (("Color", 0.6, 4), ("Contrast", 1.0, 8)),
    (("Equalize", 0.8, 0), ("Equalize", 0.6, 0)),
)


class Largest(NamedTuple):
    """The largest magnitudes.

    Attributes:
        shear: Pixels per pixel of distance.
        shift: Translation in pixels.
        turn: Degrees.
        change: Of brightness, colour, contrast and sharpness, added to the factor 1.
        bits: That Posterize removes.
    """

    shear: float
    shift: float
    turn: float
    change: float
    bits: int


class Operation(NamedTuple):
    """An operation and its magnitude."""

    name: str
    magnitude: float

    def apply(self, image: Image.Image) -> Image.Image:
        """The changed RGB image, of the same size; what moves in from outside is black."""
        return _OPERATIONS[self.name](image, self.magnitude)


def operations(
    policy: Policy, magnitude: Optional[int], side: int, draws: Draws
) -> Iterator[tuple[Operation, ...]]:
    """The operations for each of N crops, in their order.

    Args:
        policy: `randaugment` (Cubuk et al., CVPR Workshops 2020): two random operations of the
            same magnitude. `trivialaugment` (Müller and Hutter, ICCV 2021, the wide space): one
            random operation of a random magnitude. `autoaugment` (Cubuk et al., CVPR 2019): one
            of 25 pairs that were learned for ImageNet, each operation with its probability.
        magnitude: 0 to 30, of `randaugment`; None for 9.
        side: Height and width of the crops in pixels.
        draws: Uniform in [0, 1), (N, 5).
    """
    if policy == "randaugment":
        space = _space(side, _NUM_MAGNITUDES)
        step = _DEFAULT_MAGNITUDE if magnitude is None else magnitude
        for first, first_sign, second, second_sign, _ in draws.tolist():
            drawn = ((first, first_sign), (second, second_sign))
            yield tuple(_random_operation(space, which, step, sign) for which, sign in drawn)
    elif policy == "trivialaugment":
        for which, step, sign, *_ in draws.tolist():
            yield (_random_operation(_WIDE_SPACE, which, int(step * _NUM_MAGNITUDES), sign),)
    else:
        space = {**_space(side, 10), "Invert": (0.0,)}
        for which, *drawn in draws.tolist():
            pair = _IMAGENET_PAIRS[int(which * len(_IMAGENET_PAIRS))]
            yield tuple(
                _operation(name, space[name][step], sign)
                for (name, probability, step), is_done, sign in zip(pair, drawn[:2], drawn[2:])
                if is_done < probability
            )


def apply(chosen: Sequence[Operation], pixels: Pixels) -> None:
    """Does the operations on `pixels` (H, W, 3), blue, green, red, in place."""
    image = Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
    for operation in chosen:
        image = operation.apply(image)
    cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR, dst=pixels)


def _random_operation(space: Space, which: float, step: int, sign: float) -> Operation:
    name = list(space)[int(which * len(space))]
    return _operation(name, space[name][step], sign)


def _operation(name: str, magnitude: float, sign: float) -> Operation:
    return Operation(name, -magnitude if name in _SIGNED and sign < 0.5 else magnitude)


def _space(side: int, num_steps: int) -> Space:
    """The operations of RandAugment, with the same magnitudes as in AutoAugment."""
    return _magnitudes(num_steps, Largest(0.3, 150 / 331 * side, turn=30, change=0.9, bits=4))


def _magnitudes(num_steps: int, largest: Largest) -> Space:
    """The operations, each with `num_steps` magnitudes up to its largest one."""

    def up_to(end: float) -> Sequence[float]:
        steps: list[float] = np.linspace(0, end, num_steps).tolist()
        return steps

    none = (0.0,) * num_steps
    return {
        "Identity": none,
        "ShearX": up_to(largest.shear),
        "ShearY": up_to(largest.shear),
        "TranslateX": up_to(largest.shift),
        "TranslateY": up_to(largest.shift),
        "Rotate": up_to(largest.turn),
        "Brightness": up_to(largest.change),
        "Color": up_to(largest.change),
        "Contrast": up_to(largest.change),
        "Sharpness": up_to(largest.change),
        "Posterize": [8 - round(removed) for removed in up_to(largest.bits)],
        "Solarize": [255 - above for above in up_to(255)],
        "AutoContrast": none,
        "Equalize": none,
    }


def _affine(image: Image.Image, *coefficients: float) -> Image.Image:
    """Takes the pixel at (x, y) from (a x + b y + c, d x + e y + f)."""
    method, resample = Image.Transform.AFFINE, Image.Resampling.BILINEAR
    return image.transform(image.size, method, coefficients, resample)


_WIDE_SPACE = _magnitudes(_NUM_MAGNITUDES, Largest(0.99, shift=32, turn=135, change=0.99, bits=6))
_OPERATIONS: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "Identity": lambda image, _: image,
    "ShearX": lambda image, magnitude: _affine(image, 1, magnitude, 0, 0, 1, 0),
    "ShearY": lambda image, magnitude: _affine(image, 1, 0, 0, magnitude, 1, 0),
    "TranslateX": lambda image, magnitude: _affine(image, 1, 0, -int(magnitude), 0, 1, 0),
    "TranslateY": lambda image, magnitude: _affine(image, 1, 0, 0, 0, 1, -int(magnitude)),
    "Rotate": lambda image, magnitude: image.rotate(magnitude, Image.Resampling.BILINEAR),
    "Brightness": lambda image, change: ImageEnhance.Brightness(image).enhance(1 + change),
    "Color": lambda image, change: ImageEnhance.Color(image).enhance(1 + change),
    "Contrast": lambda image, change: ImageEnhance.Contrast(image).enhance(1 + change),
    "Sharpness": lambda image, change: ImageEnhance.Sharpness(image).enhance(1 + change),
    "Posterize": lambda image, bits: ImageOps.posterize(image, int(bits)),
    "Solarize": ImageOps.solarize,  # type: ignore[dict-item]  # any number will do
    "AutoContrast": lambda image, _: ImageOps.autocontrast(image),
    "Equalize": lambda image, _: ImageOps.equalize(image),
    "Invert": lambda image, _: ImageOps.invert(image),
}
