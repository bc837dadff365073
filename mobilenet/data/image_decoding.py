"""Decodes an encoded image into pixels: JPEG, PNG and others by OpenCV, HEIC and AVIF by Pillow."""

from __future__ import annotations

import importlib
import io
import os
from typing import Literal, Optional, Union

import cv2
import numpy as np
import numpy.typing as npt

from mobilenet.data.image_header import Header, read_header
from mobilenet.errors import DataError

Encoded = Union[bytes, memoryview]
Pixels = npt.NDArray[np.uint8]
ExifOrientation = Literal["ignore", "apply"]
"""What to do with the EXIF orientation of a photograph, which tells viewers how to rotate it.

`ignore` takes the pixels as they are stored, as for all published accuracies on ImageNet; `apply`
rotates them upright, as photos of phones need it. HEIC and AVIF files are always upright, because
the rotation is part of the format.
"""

_FLAGS = {
    "ignore": cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION,
    "apply": cv2.IMREAD_COLOR,
}
# The packages that Pillow needs for these formats.
_PACKAGES = {"HEIC": "pillow-heif", "AVIF": "pillow>=11.3"}
# Of a JPEG of the most pixels: 1.5 coefficients for each, as most JPEGs have, and scans through
# them, of which ten are usual.
_MAX_KEPT_PER_PIXEL, _MAX_PASSES = 1.5, 64
_MAX_PIXELS = "OPENCV_IO_MAX_IMAGE_PIXELS"  # read by OpenCV when it is loaded


def decode(image: Encoded, exif_orientation: ExifOrientation = "ignore") -> Pixels:
    """Decodes an image of whatever format and colour space into RGB, (H, W, 3) from 0 to 255.

    Raises:
        DataError: The bytes are no image, a damaged one, or one with too many pixels.
    """
    pixels = decode_bgr(image, exif_orientation)
    rgb: Pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)
    return rgb


def decode_bgr(image: Encoded, exif_orientation: ExifOrientation = "ignore") -> Pixels:
    """Like `decode`, but in OpenCV's order blue, green, red, which saves a pass over the image.

    Raises:
        DataError: As `decode`.
    """
    if not len(image):
        raise DataError("the image cannot be decoded: it is empty")
    header = read_header(bytes(image))
    if header.format in _PACKAGES:
        return _by_pillow(image, header.format)
    if why := obstacle(header):
        raise DataError(f"the image cannot be decoded: {why}")
    try:
        pixels: Optional[Pixels] = cv2.imdecode(
            np.frombuffer(image, np.uint8), _FLAGS[exif_orientation]
        )
    except cv2.error as error:
        raise DataError(f"the image cannot be decoded: {reason(error)}") from None
    if pixels is None:
        raise DataError("the image cannot be decoded: it is damaged, or is no image")
    return pixels


def obstacle(header: Header) -> str:
    """Why an image is refused by its header: a JPEG of too many scans; empty for most images.

    Each scan of a small file may go through all coefficients of a large image, all of which are
    kept in memory until the last one.
    """
    num_passed = header.num_kept * header.num_scans
    if header.num_kept <= _MAX_KEPT_PER_PIXEL * _limit() >= num_passed / _MAX_PASSES:
        return ""
    return (
        f"it is a JPEG of {header.num_scans:,} scans, which would take too much memory or time;"
        " save it as a baseline JPEG"
    )


def reason(error: cv2.error) -> str:
    """Why OpenCV refuses an image."""
    return _too_large() if "CV_IO_MAX_IMAGE_PIXELS" in error.err else str(error.err)


def _too_large() -> str:
    return f"it has more than {_limit():,} pixels; {_MAX_PIXELS} in the environment sets this limit"


def _limit() -> int:
    return int(os.environ.get(_MAX_PIXELS, f"{1 << 30}"))  # by default OpenCV's own


def _by_pillow(image: Encoded, form: str) -> Pixels:
    try:
        from PIL import Image, ImageOps, features  # noqa: PLC0415 - for these formats alone

        if form == "HEIC":
            importlib.import_module("pillow_heif").register_heif_opener()
        elif not features.check("avif"):
            raise ImportError("this Pillow has no AVIF")
    except ImportError:
        raise DataError(
            f"the image cannot be decoded: it is {form}, which needs a package:"
            f" pip install '{_PACKAGES[form]}'"
        ) from None
    try:
        with Image.open(io.BytesIO(image)) as opened:
            if opened.width * opened.height > _limit():
                raise DataError(_too_large())
            rgb = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    except Exception as error:  # damaged bytes raise many kinds of exceptions
        raise DataError(f"the image cannot be decoded: {error}") from None
    pixels: Pixels = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return pixels
