"""Converts an image to the bytes that are stored: unchanged, unless a reader could not read them.

This package reads with opencv-python; MXNet's `ImageRecordIter` has its own OpenCV 3.4.2, which
knows fewer formats and rotates a JPEG as its EXIF orientation says. Therefore

* JPEG and PNG of any kind (grayscale, CMYK, alpha, 16 bits) stay: both decode them to the same RGB;
* every other format is encoded anew as JPEG;
* where EXIF orientation is ignored, as on ImageNet, it is set to upright, in place. The pixels stay
  as they are stored, which is what published accuracies are from, and no reader turns them;
* where it is applied, as on photos of one's own, it stays in the images that keep their bytes, and
  readers turn them (`data.exif_orientation: apply`; `ImageRecordIter` does so by itself). Images
  that are encoded anew are turned before.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple, Optional

import cv2

from mobilenet.data.image_decoding import ExifOrientation, Pixels
from mobilenet.data.image_header import SUFFIXES, Header, read_header, turned_upright
from mobilenet.errors import DataError
from mobilenet.packing.damaged_images import check_decodes, decoded

_KEPT_FORMATS = ("JPEG", "PNG")
_MAX_JPEG_SIDE = 65_500  # of libjpeg


class Stored(NamedTuple):
    """The bytes to store of an image, and what is unusual about the original, in words."""

    image: bytes
    oddities: tuple[str, ...]


@dataclass(frozen=True)
class Conversion:
    """Turns the content of an image file into what is stored of it.

    Attributes:
        short_side: Larger images are made smaller, to this many pixels on the short side, as the
            mean of the area; no image is enlarged. None stores the images as they are.
        quality: Of the JPEGs that are encoded anew, 1 to 100.
        exif_orientation: Whether photographs are to be turned.
    """

    short_side: Optional[int] = None
    quality: int = 95
    exif_orientation: ExifOrientation = "ignore"

    def __call__(self, name: str, image: bytes) -> Stored:
        """Decodes the image and converts it.

        Raises:
            DataError: It does not decode, or is too long for the JPEG that it would have to become;
                the sentence lacks its subject.
        """
        header = read_header(image)
        if header.format in _KEPT_FORMATS and self._keeps(header.size):
            check_decodes(image, header)
            if header.orientations and self.exif_orientation == "ignore":
                image = turned_upright(image, header.orientations)
        else:
            image = self._encode(self._smaller(decoded(image, header, self.exif_orientation)))
        return Stored(image, _oddities(name, header))

    def _keeps(self, size: Optional[tuple[int, int]]) -> bool:
        """Whether an image of this size, as far as that is known, is not to be made smaller."""
        return self.short_side is None or (size is not None and min(size) <= self.short_side)

    def _smaller(self, pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        if self.short_side is None or self._keeps((width, height)):
            return pixels
        scale = self.short_side / min(width, height)
        size = (round(width * scale), round(height * scale))
        smaller: Pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        return smaller

    def _encode(self, pixels: Pixels) -> bytes:
        height, width = pixels.shape[:2]
        if max(height, width) > _MAX_JPEG_SIDE:
            raise DataError(
                f"would become a JPEG of {width} x {height} pixels, and a JPEG has"
                f" {_MAX_JPEG_SIDE} at most on a side"
            )
        _, encoded = cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, self.quality))
        image: bytes = encoded.tobytes()
        return image


def _oddities(name: str, header: Header) -> tuple[str, ...]:
    suffix = PurePosixPath(name).suffix.lower()
    oddities = list(header.oddities)
    if header.format is not None and header.format not in _KEPT_FORMATS:
        oddities.insert(0, f"{header.format} encoded anew as JPEG")
    if header.format is not None and suffix not in SUFFIXES[header.format]:
        oddities.insert(0, f"{header.format} named {suffix or 'without a suffix'}")
    return tuple(oddities)
