"""Training augmentation: from an encoded image and random numbers to the network's input."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Iterator, Optional

import cv2

from mobilenet.data.transforms import IMAGENET, Encoded, Floats, Normalization, decode

NUM_CROP_TRIES = 10


@dataclass(frozen=True)
class TrainTransform:
    """Random resized crop, horizontal flip, then colour jitter, lighting noise and erasing."""

    resolution: int = 224
    area: tuple[float, float] = (0.08, 1.0)
    aspect_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    pca_noise: float = 0.0
    random_erasing: float = 0.0
    normalization: Normalization = IMAGENET

    num_draws = 64

    def __call__(
        self, image: Encoded, draws: Iterator[float], out: Optional[Floats] = None
    ) -> Floats:
        """The input (3, resolution, resolution), written into `out` if it is given."""
        pixels = decode(image)
        top, left, height, width = self._crop_box(pixels.shape[0], pixels.shape[1], draws)
        crop = pixels[top : top + height, left : left + width]
        side = (self.resolution, self.resolution)
        crop = cv2.resize(crop, side, interpolation=cv2.INTER_LINEAR)
        if next(draws) < self.flip:
            crop = cv2.flip(crop, 1)
        return self.normalization(crop, out)

    def _crop_box(
        self, height: int, width: int, draws: Iterator[float]
    ) -> tuple[int, int, int, int]:
        low, high = (math.log(ratio) for ratio in self.aspect_ratio)
        for _ in range(NUM_CROP_TRIES):
            area = height * width * (self.area[0] + (self.area[1] - self.area[0]) * next(draws))
            ratio = math.exp(low + (high - low) * next(draws))
            crop_height, crop_width = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
            if 0 < crop_height <= height and 0 < crop_width <= width:
                top = int(next(draws) * (height - crop_height + 1))
                return top, int(next(draws) * (width - crop_width + 1)), crop_height, crop_width
        side = min(height, width)
        return (height - side) // 2, (width - side) // 2, side, side
