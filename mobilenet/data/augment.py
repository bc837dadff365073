"""Training augmentation: an encoded image and uniform random numbers give the network's input.

The random numbers come from outside (`mobilenet.data.order`), so that an image is augmented in the
same way whichever thread does it and however often.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Iterator, NamedTuple, Optional

import cv2
import numpy as np
import numpy.typing as npt

from mobilenet.data.transforms import (
    IMAGENET,
    Encoded,
    Floats,
    Normalization,
    Pixels,
    decode_bgr,
    planes_of_bgr,
)

Draws = Iterator[float]  # uniform in [0, 1)
Range = tuple[float, float]

_NUM_TRIES = 10
# A rectangle takes 2 for each try and 2 for its place, jitter 4, lighting noise 4, decisions 2.
NUM_DRAWS = 2 * (2 * _NUM_TRIES + 2) + 4 + 4 + 2

# Part of the image and aspect ratio of the erased rectangle (Zhong et al., "Random erasing data
# augmentation", 2020, section 4.2, as in torchvision).
_ERASED_AREA = (0.02, 1 / 3)
_ERASED_ASPECT_RATIO = (0.3, 3.3)

# All colours are blue, green, red here, as OpenCV decodes them.
# Luma of ITU-R BT.601 and the two axes of colour of NTSC's YIQ. With A the projection to grey, B to
# colour and C the quarter turn of the colours, A + cos(a) B + sin(a) C turns them by a.
_LUMA = np.array([0.114, 0.587, 0.299])
_YIQ = np.array([_LUMA, [-0.321263, -0.274453, 0.595716], [0.311135, -0.522591, 0.211456]])
_QUARTER_TURN = np.linalg.inv(_YIQ) @ [[0, 0, 0], [0, 0, -1], [0, 1, 0]] @ _YIQ
_GREY = np.outer(np.ones(3), _LUMA)
_COLOUR_BASIS = np.stack([_GREY, np.eye(3) - _GREY, _QUARTER_TURN]).reshape(3, 9)

# Principal components of ImageNet's colours on the scale 0 .. 255, in columns, each times its
# weight (Krizhevsky et al., "ImageNet classification with deep convolutional neural networks",
# 2012, section 4.1; the numbers are those of MXNet's ImageRecordIter).
_COMPONENTS = np.array(
    [[-0.5836, -0.6948, 0.4203], [-0.5808, -0.0045, -0.8140], [-0.5675, 0.7192, 0.4009]]
) * [55.46, 4.794, 1.148]


class Rectangle(NamedTuple):
    """Rows and columns of an image."""

    rows: slice
    columns: slice


def random_rectangle(
    shape: tuple[int, ...], area: Range, aspect_ratio: Range, draws: Draws
) -> Optional[Rectangle]:
    """A rectangle in an image of `shape` (H, W, ...), or None if ten tries did not fit into it.

    Its part of the image is uniform in `area`, the logarithm of its width / height uniform between
    those of `aspect_ratio`, its place uniform (Szegedy et al., "Going deeper with convolutions",
    2015, section 6; in this form in torchvision).
    """
    height, width = shape[:2]
    low, high = math.log(aspect_ratio[0]), math.log(aspect_ratio[1])
    for _ in range(_NUM_TRIES):
        num_pixels = height * width * _between(area[0], area[1], next(draws))
        ratio = math.exp(_between(low, high, next(draws)))
        rows, columns = round(math.sqrt(num_pixels / ratio)), round(math.sqrt(num_pixels * ratio))
        if 0 < rows <= height and 0 < columns <= width:
            top = int(next(draws) * (height - rows + 1))
            left = int(next(draws) * (width - columns + 1))
            return Rectangle(slice(top, top + rows), slice(left, left + columns))
    return None


def central_rectangle(shape: tuple[int, ...], aspect_ratio: Range) -> Rectangle:
    """The largest central rectangle of an image whose width / height is within `aspect_ratio`."""
    height, width = shape[:2]
    rows = min(height, round(width / aspect_ratio[0]))
    columns = min(width, round(height * aspect_ratio[1]))
    top, left = (height - rows) // 2, (width - columns) // 2
    return Rectangle(slice(top, top + rows), slice(left, left + columns))


def _between(low: float, high: float, draw: float) -> float:
    return low + (high - low) * draw


@dataclass(frozen=True)
class TrainTransform:
    """Random crop, resized; flip; colour jitter with lighting noise; random erasing.

    Shrinking is bilinear without averaging, as in ImageRecordIter, with which the published
    accuracies of gluoncv were trained.

    Attributes:
        resolution: Height and width in pixels of the result.
        area: Smallest and largest part of the image that a crop covers.
        aspect_ratio: Smallest and largest width / height of a crop.
        flip: Probability of a left-right flip.
        brightness: Values are multiplied by a factor from [1 - brightness, 1 + brightness].
        contrast: Distances from the crop's mean grey are multiplied by such a factor.
        saturation: Distances of a colour from its grey are multiplied by such a factor.
        hue: Colours turn about the grey axis by up to this part of the circle, either way.
        pca_noise: Standard deviation of the weights of AlexNet's lighting noise, there 0.1.
        random_erasing: Probability that a rectangle is painted over with the mean colour.
        normalization: Of the network that sees the images.
    """

    resolution: int = 224
    area: Range = (0.08, 1.0)
    aspect_ratio: Range = (3 / 4, 4 / 3)
    flip: float = 0.5
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    pca_noise: float = 0.0
    random_erasing: float = 0.0
    normalization: Normalization = IMAGENET

    def __call__(self, image: Encoded, draws: Draws, out: Optional[Floats] = None) -> Floats:
        """The network's input (3, resolution, resolution) for an image; in `out` if given.

        Takes up to `NUM_DRAWS` of `draws`.

        Raises:
            DataError: The image cannot be decoded.
        """
        pixels = self._random_resized_crop(decode_bgr(image), draws)
        if next(draws) < self.flip:
            pixels = cv2.flip(pixels, 1, dst=pixels)
        if self._changes_colours:
            pixels = cv2.transform(pixels, self._colour_map(pixels, draws))
        if self.random_erasing:
            self._erase(pixels, draws)
        return self.normalization(planes_of_bgr(pixels), out)

    def _random_resized_crop(self, pixels: Pixels, draws: Draws) -> Pixels:
        crop = random_rectangle(pixels.shape, self.area, self.aspect_ratio, draws)
        crop = crop or central_rectangle(pixels.shape, self.aspect_ratio)
        size = (self.resolution, self.resolution)
        resized: Pixels = cv2.resize(pixels[crop], size, interpolation=cv2.INTER_LINEAR)
        return resized

    @cached_property
    def _changes_colours(self) -> bool:
        return any((self.brightness, self.contrast, self.saturation, self.hue, self.pca_noise))

    def _colour_map(self, pixels: Pixels, draws: Draws) -> npt.NDArray[np.float64]:
        """Jitter and lighting noise as one affine map of colours, (3, 4).

        Each kind of jitter is affine, and all of them commute: they scale, turn or move colours
        along or about the grey axis. Done in one step, nothing is rounded or clipped in between,
        and their order, which others choose at random, does not matter.
        """
        brightness, contrast, saturation = (
            1 + amount * _between(-1, 1, next(draws))
            for amount in (self.brightness, self.contrast, self.saturation)
        )
        angle = 2 * math.pi * self.hue * _between(-1, 1, next(draws))
        grey = brightness * contrast
        colour = grey * saturation
        scales = [grey, colour * math.cos(angle), colour * math.sin(angle)]
        colour_map = np.empty((3, 4))
        colour_map[:, :3] = np.dot(scales, _COLOUR_BASIS).reshape(3, 3)
        colour_map[:, 3] = brightness * (1 - contrast) * _mean_grey(pixels)
        if self.pca_noise:
            colour_map[:, 3] += _COMPONENTS @ (self.pca_noise * _normals(draws))
        return colour_map

    def _erase(self, pixels: Pixels, draws: Draws) -> None:
        if next(draws) < self.random_erasing:
            erased = random_rectangle(pixels.shape, _ERASED_AREA, _ERASED_ASPECT_RATIO, draws)
            if erased:
                red, green, blue = (round(255 * mean) for mean in self.normalization.mean)
                pixels[erased] = blue, green, red


def _mean_grey(pixels: Pixels) -> float:
    mean: float = cv2.mean(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY))[0]
    return mean


def _normals(draws: Draws) -> npt.NDArray[np.float64]:
    """Three numbers from the standard normal distribution (Box and Muller, 1958)."""
    radii = [math.sqrt(-2 * math.log(1 - next(draws))) for _ in range(2)]
    angles = [2 * math.pi * next(draws) for _ in range(2)]
    pairs = zip(radii, angles)
    values = [r * wave(a) for r, a in pairs for wave in (math.cos, math.sin)]
    return np.array(values[:3])
