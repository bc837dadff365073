"""The preprocessings for validation and prediction: resize, centre crop, normalisation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Callable, Optional

import cv2
import numpy as np
import numpy.typing as npt

from mobilenet.data.image_decoding import Encoded, ExifOrientation, Pixels, decode_bgr
from mobilenet.errors import ConfigError, DataError

Floats = npt.NDArray[np.float32]


def planes(pixels: Pixels) -> Pixels:
    """The channels of `pixels` (H, W, 3) one after the other, (3, H, W)."""
    out = np.empty((3, *pixels.shape[:2]), np.uint8)
    cv2.split(pixels, list(out))
    return out


@dataclass(frozen=True)
class Normalization:
    """Shift and scale of red, green and blue: (x / 255 - mean) / std for x in 0 .. 255."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __call__(self, images: Pixels) -> Floats:
        """Normalises `images` (..., 3, H, W)."""
        out = np.empty(images.shape, np.float32)
        rows = (-1, 3, math.prod(images.shape[-2:]))
        values, results = images.reshape(rows), out.reshape(rows)
        for channel, table in enumerate(self._tables):
            cv2.LUT(values[:, channel], table, dst=results[:, channel])
        return out

    def of_bgr(self, images: Pixels, out: Floats) -> Floats:
        """Normalises `images` (N, H, W, 3), blue, green, red, into `out` (N, 3, H, W).

        Few large calls, for threads that share Python's global lock.
        """
        size, height, width, _ = images.shape
        planes_of_all = cv2.split(images.reshape(size * height, width, 3))[::-1]
        for channel, table in enumerate(self._tables):
            values = planes_of_all[channel].reshape(size, height * width)
            cv2.LUT(values, table, dst=out[:, channel].reshape(values.shape))
        return out

    @cached_property
    def _tables(self) -> list[Floats]:
        """The result for each of the 256 values of each channel."""
        values = np.arange(256) / 255
        pairs = zip(self.mean, self.std)
        return [((values - mean) / std).astype(np.float32) for mean, std in pairs]


# Of ImageNet's training images; used by torchvision, the ONNX model zoo and what gluoncv trains on
# image folders. Its training on records takes 123.68, 116.779, 103.939 and 58.393, 57.12, 57.375 of
# 255, which is the same but for rounding.
IMAGENET = Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
# To [-1, 1]; used by the MobileNets of TensorFlow (tf.keras `mobilenet_v2.preprocess_input`).
TENSORFLOW = Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


# Resizes an image to (width, height).
_Scale = Callable[[Pixels, "tuple[int, int]"], Pixels]
_Resize = Callable[[Pixels, int], Pixels]


def _opencv(interpolation: int) -> _Scale:
    def scale(pixels: Pixels, size: tuple[int, int]) -> Pixels:
        resized: Pixels = cv2.resize(pixels, size, interpolation=interpolation)
        return resized

    return scale


def _pil(filter_name: str) -> _Scale:
    # When PIL shrinks an image, it averages over all pixels that fall into one; OpenCV does not.
    def scale(pixels: Pixels, size: tuple[int, int]) -> Pixels:
        from PIL import Image  # noqa: PLC0415 - for these preprocessings alone

        return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling[filter_name]))

    return scale


# What an image may grow to, in pixels or in squares of its short side, before its ends are cut off.
_MAX_RESIZED_PIXELS, _MAX_RESIZED_SQUARES = 1 << 24, 16
# The crop lies in the middle one of them, and no filter reaches beyond the next two.
_NUM_NEEDED_SQUARES = 5


def _without_far_ends(pixels: Pixels, short_side: int) -> Pixels:
    """The part of a very thin image that a centre crop needs; other images are unchanged.

    An image of 65,500 x 1 pixels would otherwise be resized to gigabytes, of which the crop is a
    square.
    """
    shorter, longer = sorted(pixels.shape[:2])
    resized = short_side * short_side * longer // shorter
    if resized <= max(_MAX_RESIZED_PIXELS, _MAX_RESIZED_SQUARES * short_side * short_side):
        return pixels
    end = (longer - _NUM_NEEDED_SQUARES * shorter) // 2
    return pixels[end:-end] if pixels.shape[0] == longer else pixels[:, end:-end]


def _keep_aspect(scale: _Scale) -> _Resize:
    def resize(pixels: Pixels, short_side: int) -> Pixels:
        pixels = _without_far_ends(pixels, short_side)
        height, width = pixels.shape[:2]
        shorter = min(height, width)
        # Torchvision, MXNet and gluoncv round the long side down.
        return scale(pixels, (width * short_side // shorter, height * short_side // shorter))

    return resize


def _keep_aspect_rounded(pixels: Pixels, short_side: int) -> Pixels:
    # As the model zoo's script computes it.
    pixels = _without_far_ends(pixels, short_side)
    ratio = short_side / min(pixels.shape[:2])
    width, height = (round(ratio * side) for side in pixels.shape[1::-1])
    return _pil("BILINEAR")(pixels, (width, height))


def _squash(scale: _Scale) -> _Resize:
    return lambda pixels, side: scale(pixels, (side, side))


@dataclass(frozen=True)
class _Preprocessing:
    resize: _Resize
    short_side: Optional[int] = None  # None: the caller's


_SQUASH = _squash(_opencv(cv2.INTER_LINEAR))
# All are followed by a centre crop. Those in the MobileNet folder of the ONNX model zoo differ: its
# notebooks squash to a square; its imagenet_preprocess.py has a function for PIL that keeps the
# aspect ratio, and one for MXNet that squashes without a margin.
PREPROCESSINGS = {
    "center-crop": _Preprocessing(_keep_aspect(_opencv(cv2.INTER_LINEAR))),
    "center-crop-area": _Preprocessing(_keep_aspect(_opencv(cv2.INTER_AREA))),
    "center-crop-cubic": _Preprocessing(_keep_aspect(_opencv(cv2.INTER_CUBIC))),
    "center-crop-pil": _Preprocessing(_keep_aspect(_pil("BILINEAR"))),
    "center-crop-pil-cubic": _Preprocessing(_keep_aspect(_pil("BICUBIC"))),
    "squash": _Preprocessing(_SQUASH),
    "squash-pil": _Preprocessing(_squash(_pil("BILINEAR"))),
    "squash-256": _Preprocessing(_SQUASH, 256),
    "squash-224": _Preprocessing(_SQUASH, 224),
    "imagenet-preprocess": _Preprocessing(_keep_aspect_rounded, 256),
}


@dataclass(frozen=True)
class EvalTransform:
    """The preprocessing for validation and prediction: resize, centre crop, normalisation.

    Attributes:
        name: One of `PREPROCESSINGS`.
        resolution: Height and width in pixels of the centre crop, or the larger of the two.
        short_side: Pixels to which the shorter side is resized before the crop. 0 is the fixed one
            of some preprocessings, for others resolution / 0.875 rounded up (gluoncv
            `train_imagenet.py`).
        normalization: The normalisation of the network's input.
        exif_orientation: `apply` rotates photographs as their EXIF orientation says; `ignore` does
            not.
        crop: Height and width in pixels of a centre crop that is not square.

    Raises:
        ConfigError: The name is unknown, or the short side differs from a fixed one or is smaller
            than the crop.
    """

    name: str = "center-crop"
    resolution: int = 224
    short_side: int = 0
    normalization: Normalization = IMAGENET
    exif_orientation: ExifOrientation = "ignore"
    crop: Optional[tuple[int, int]] = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels of the centre crop."""
        return self.crop or (self.resolution, self.resolution)

    @property
    def size_text(self) -> str:
        """The size as text: 224, or 128x224."""
        return "x".join(str(pixels) for pixels in self.crop or (self.resolution,))

    def __post_init__(self) -> None:
        if self.name not in PREPROCESSINGS:
            names = ", ".join(PREPROCESSINGS)
            raise ConfigError(f"there is no preprocessing '{self.name}', but {names}")
        own = PREPROCESSINGS[self.name].short_side
        if own and self.short_side not in (0, own):
            raise ConfigError(f"'{self.name}' has the short side {own}, not {self.short_side}")
        short_side = own or self.short_side or -(-self.resolution * 8 // 7)
        object.__setattr__(self, "short_side", short_side)
        if short_side < self.resolution:
            raise ConfigError(
                f"'{self.name}' with the short side {short_side} has no room for a crop of "
                f"{self.resolution} pixels"
            )

    def __call__(self, image: Encoded) -> Floats:
        """The network's input (3, H, W), float32, for an encoded image.

        Raises:
            DataError: The image cannot be decoded, or there is not enough memory to resize it.
        """
        return self.normalization(self.planes(image))

    def planes(self, image: Encoded) -> Pixels:
        """The pixels before normalisation, (3, H, W), RGB; raises as a call."""
        return planes(cv2.cvtColor(self.pixels(image), cv2.COLOR_BGR2RGB))

    def pixels(self, image: Encoded) -> Pixels:
        """The pixels before normalisation, (H, W, 3), BGR; raises as a call."""
        decoded = decode_bgr(image, self.exif_orientation)
        try:
            resized = PREPROCESSINGS[self.name].resize(decoded, self.short_side)
        except (cv2.error, MemoryError):
            height, width = decoded.shape[:2]
            raise DataError(
                f"there is not enough memory to give its {width} x {height} pixels a short side of"
                f" {self.short_side}"
            ) from None
        height, width = self.size
        top, left = (resized.shape[0] - height) // 2, (resized.shape[1] - width) // 2
        return resized[top : top + height, left : left + width]
