"""Converts paths, arrays and PIL images to encoded bytes, with which preprocessing begins."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Iterable, Union

import cv2
import numpy as np
import numpy.typing as npt

from mobilenet.errors import DataError, reason
from mobilenet.inference.predict import find_images

Image = Union[str, "os.PathLike[str]", npt.NDArray[Any], Any]
"""A path, an array, or a PIL image (Any, so that Pillow need not be imported)."""
Encoded = list[tuple[str, bytes]]
"""Names and encoded images."""


def expanded(images: Image | Iterable[Image]) -> tuple[bool, Encoded]:
    """Whether `images` is a single image, and the encoded images with their names.

    Raises:
        DataError: A file cannot be read, or an array has another form.
    """
    if isinstance(images, (str, os.PathLike)):
        paths = find_images([os.fspath(images)], sys.stdin)
        return Path(images).is_file(), [(path, _content(path)) for path in paths]
    if _is_pil(images) or (isinstance(images, np.ndarray) and images.ndim != 4):
        return True, [("image", _encoded(images, "the image"))]
    found = []
    for number, image in enumerate(images):
        if isinstance(image, (str, os.PathLike)):
            found += expanded(image)[1]
        else:
            found.append((f"image {number}", _encoded(image, f"image {number}")))
    return False, found


def _is_pil(image: Any) -> bool:
    return hasattr(image, "convert") and hasattr(image, "getbands")


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {reason(error)}") from None


def _encoded(image: Any, name: str) -> bytes:
    """The pixels as PNG, which is lossless."""
    pixels = np.asarray(image.convert("RGB") if _is_pil(image) else image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        shape = "x".join(map(str, pixels.shape))
        raise DataError(
            f"{name} is {shape} of {pixels.dtype}; a path, a PIL image or"
            " an array (H, W, 3) of uint8 would be right"
        )
    bgr = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return encoded.tobytes()
