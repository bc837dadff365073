"""Decides whether an image is too damaged to be packed: it has to be an image, and to decode.

Images that decode with a warning are packed: every reader decodes them to the same pixels, and
ImageNet has such images. `mobilenet.packing.decoder_warnings` counts the warnings.
"""

from __future__ import annotations

from typing import Optional

import cv2
import numpy as np

from mobilenet.data.image_decoding import ExifOrientation, Pixels, decode_bgr, obstacle, reason
from mobilenet.data.image_header import Header
from mobilenet.errors import DataError

# Decodes every coefficient, but transforms only an eighth of the size to pixels, which takes little
# more than half the time (`benchmarks/packing.py`).
_QUICK_FLAGS = cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_IGNORE_ORIENTATION


def check_decodes(image: bytes, header: Header) -> None:
    """Decodes the image in the quickest way that finds all damage.

    Raises:
        DataError: It is none, or is damaged; the sentence lacks its subject.
    """
    # OpenCV makes the eighth of a few pixels an empty image, which is an error to it.
    is_usual = not header.oddities and header.size is not None and min(header.size) >= 8
    if not is_usual:
        decoded(image, header, "ignore")
        return
    if why := obstacle(header):
        raise DataError(f"does not decode: {why}")
    try:
        pixels: Optional[Pixels] = cv2.imdecode(np.frombuffer(image, np.uint8), _QUICK_FLAGS)
    except cv2.error as error:
        raise DataError(f"does not decode: {reason(error)}") from None
    if pixels is None:
        raise _damaged(header)


def decoded(image: bytes, header: Header, exif_orientation: ExifOrientation) -> Pixels:
    """The pixels of the image (H, W, 3), blue, green, red; raises as `check_decodes`."""
    try:
        return decode_bgr(image, exif_orientation)
    except DataError as error:
        why = str(error).partition("cannot be decoded: ")[2]
        if not image:
            raise DataError("is empty") from None
        if header.format is None:
            begins = f"it begins with {image[:8]!r}"
            raise DataError(f"is no image in a known format ({begins})") from None
        if why.startswith("it is damaged"):
            raise _damaged(header) from None
        raise DataError(f"does not decode: {why}") from None


def _damaged(header: Header) -> DataError:
    return DataError(f"is a {header.format} that OpenCV does not decode, or damaged or cut off")
