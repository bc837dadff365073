"""Decoding, the named validation preprocessings and normalisation of images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Callable, Optional, Union

import cv2
import numpy as np
import numpy.typing as npt

from mobilenet.errors import ConfigError, DataError

Pixels = npt.NDArray[np.uint8]
Encoded = Union[bytes, memoryview]
Floats = npt.NDArray[np.float32]

# Photographs carry their orientation as a note for viewers; ImageNet's labels and every published
# accuracy are from the pixels as they are stored.
_DECODE_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


@dataclass(frozen=True)
class Normalization:
    """Shift and scale of the channels R, G, B: (x / 255 - mean) / std for x in 0 .. 255."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __call__(self, pixels: Pixels, out: Optional[Floats] = None) -> Floats:
        """Normalises RGB `pixels` (H, W, 3) into (3, H, W), written into `out` if it is given."""
        height, width, _ = pixels.shape
        out = np.empty((3, height, width), np.float32) if out is None else out
        planes = np.empty((3, height, width), np.uint8)
        cv2.split(pixels, list(planes))
        np.multiply(planes, self._scale, out=out, dtype=np.float32)
        return np.subtract(out, self._offset, out=out)

    @cached_property
    def _scale(self) -> Floats:
        return (1 / (255 * np.array(self.std))).astype(np.float32).reshape(3, 1, 1)

    @cached_property
    def _offset(self) -> Floats:
        return (np.array(self.mean) / self.std).astype(np.float32).reshape(3, 1, 1)


# Statistics of the ImageNet training set; every PyTorch and MXNet model zoo uses these.
IMAGENET = Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
# Input in [-1, 1], what TensorFlow's MobileNets expect.
TENSORFLOW = Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def decode(image: Encoded) -> Pixels:
    """Decodes a JPEG, PNG or other image into RGB (H, W, 3), whatever its own colour space.

    Raises:
        DataError: The bytes are no image that OpenCV can decode.
    """
    try:
        pixels = cv2.imdecode(np.frombuffer(image, np.uint8), _DECODE_FLAGS)
    except cv2.error as error:
        raise DataError(f"the image cannot be decoded: {error.err}") from error
    if pixels is None:
        raise DataError("the image cannot be decoded: it is damaged or no image at all")
    rgb: Pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)
    return rgb


def _keep_aspect(pixels: Pixels, short_side: int) -> Pixels:
    height, width = pixels.shape[:2]
    shorter = min(height, width)
    # The long side is cut to whole pixels, as torchvision, MXNet and gluoncv cut it.
    size = (width * short_side // shorter, height * short_side // shorter)
    resized: Pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
    return resized


def _squash(pixels: Pixels, short_side: int) -> Pixels:
    size = (short_side, short_side)
    resized: Pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
    return resized


def _pil_keep_aspect(pixels: Pixels, short_side: int) -> Pixels:
    from PIL import Image  # noqa: PLC0415  only this preprocessing needs it

    height, width = pixels.shape[:2]
    # The origin's imagenet_preprocess.py computes the long side like this, float division first.
    if width > height:
        size = (int(short_side * width / height), short_side)
    else:
        size = (short_side, int(short_side * height / width))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))


@dataclass(frozen=True)
class _Preprocessing:
    resize: Callable[[Pixels, int], Pixels]
    short_side: Optional[int]  # None: resolution / 0.875, rounded up


PREPROCESSINGS = {
    "center-crop": _Preprocessing(_keep_aspect, None),
    "squash-256": _Preprocessing(_squash, 256),
    "squash-224": _Preprocessing(_squash, 224),
    "imagenet-preprocess": _Preprocessing(_pil_keep_aspect, 256),
}


@dataclass(frozen=True)
class EvalTransform:
    """A named validation preprocessing: resize, central crop of `resolution`, normalise."""

    name: str = "center-crop"
    resolution: int = 224
    short_side: int = 0
    normalization: Normalization = IMAGENET

    def __post_init__(self) -> None:
        if self.name not in PREPROCESSINGS:
            names = ", ".join(PREPROCESSINGS)
            raise ConfigError(f"preprocessing '{self.name}' is unknown; there are {names}")
        default = PREPROCESSINGS[self.name].short_side or -(-self.resolution * 8 // 7)
        object.__setattr__(self, "short_side", self.short_side or default)
        if self.short_side < self.resolution:
            raise ConfigError(
                f"a short side of {self.short_side} pixels has no room for a crop of "
                f"{self.resolution}; make it at least {self.resolution}"
            )

    def __call__(self, image: Encoded, out: Optional[Floats] = None) -> Floats:
        """The input (3, resolution, resolution), written into `out` if it is given."""
        return self.normalization(self.pixels(decode(image)), out)

    def pixels(self, image: Pixels) -> Pixels:
        """The decoded image (H, W, 3) resized and cropped, not yet normalised."""
        resized = PREPROCESSINGS[self.name].resize(image, self.short_side)
        top, left = ((size - self.resolution) // 2 for size in resized.shape[:2])
        return resized[top : top + self.resolution, left : left + self.resolution]
