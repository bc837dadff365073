"""Pictures to try things on, and how bilinear interpolation is defined."""

from __future__ import annotations

import io

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[np.uint8]


def photograph(height: int, width: int, seed: int = 0) -> Array:
    """Smooth random colours with some noise, (H, W, 3)."""
    generator = np.random.default_rng(seed)
    coarse = generator.uniform(0, 255, (4, 5, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return (smooth + generator.normal(0, 6, smooth.shape)).clip(0, 255).astype(np.uint8)


def encoded(image: Image.Image, form: str, **settings: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **settings)
    return buffer.getvalue()


def png(pixels: Array) -> bytes:
    return encoded(Image.fromarray(pixels), "PNG")


def bilinear(pixels: Array, height: int, width: int) -> npt.NDArray[np.float64]:
    """Bilinear interpolation at pixel centres, the border repeated, nothing averaged."""
    grid = []
    for old, new in zip(pixels.shape, (height, width)):
        place = ((np.arange(new) + 0.5) * old / new - 0.5).clip(0, old - 1)
        low = np.floor(place).astype(int)
        grid.append((low, np.minimum(low + 1, old - 1), place - low))
    (top, bottom, down), (left, right, across) = grid
    down, across = down[:, None, None], across[None, :, None]
    values = pixels.astype(np.float64)
    upper = values[top][:, left] * (1 - across) + values[top][:, right] * across
    lower = values[bottom][:, left] * (1 - across) + values[bottom][:, right] * across
    return upper * (1 - down) + lower * down
