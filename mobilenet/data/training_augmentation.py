"""Training augmentation: a pure function of an encoded image and uniform random numbers.

The random numbers come from the caller (`mobilenet.data.epoch_order`), so that an image is
augmented in the same way in whatever thread, and however often. The parameters of the augmentation
are computed for many images at once; only what depends on the pixels is done image by image.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Iterable, Iterator, NamedTuple, Optional

import cv2
import numpy as np
import numpy.typing as npt

from mobilenet.data import augmentation_policies
from mobilenet.data.augmentation_policies import Operation, Policy
from mobilenet.data.eval_transforms import IMAGENET, Normalization
from mobilenet.data.image_decoding import Encoded, ExifOrientation, Pixels, decode_bgr

Draws = npt.NDArray[np.float64]  # uniform in [0, 1), a row for each image
Range = tuple[float, float]

_NUM_TRIES = 10
# Columns of the draws: a rectangle needs two for each try and two for its position.
_CROP = slice(0, 2 * _NUM_TRIES + 2)
_FLIP = _CROP.stop
_JITTER = slice(_FLIP + 1, _FLIP + 5)
_LIGHTING = slice(_JITTER.stop, _JITTER.stop + 4)
_IS_ERASED = _LIGHTING.stop
_ERASED = slice(_IS_ERASED + 1, _IS_ERASED + 1 + _CROP.stop)
_POLICY = slice(_ERASED.stop, _ERASED.stop + augmentation_policies.NUM_DRAWS)
NUM_DRAWS = _POLICY.stop

# Fraction of the image's area and aspect ratio of the erased rectangle (Zhong et al., "Random
# erasing data augmentation", 2020, section 4.2, as in torchvision).
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


class RandomRectangle(NamedTuple):
    """A random rectangle for an image whose size is not known yet.

    Attributes:
        heights: Heights to try one after the other, as fractions of the root of the image's area.
        widths: The widths, likewise.
        top: Position between the uppermost (0) and the lowest (1) possible one.
        left: Position between the leftmost (0) and the rightmost (1) possible one.
    """

    heights: list[float]
    widths: list[float]
    top: float
    left: float

    def within(self, shape: tuple[int, ...]) -> Optional[Rectangle]:
        """The first try that fits into an image of `shape` (H, W, ...), or None."""
        height, width = shape[:2]
        root = math.sqrt(height * width)
        for relative_height, relative_width in zip(self.heights, self.widths):
            rows, columns = round(relative_height * root), round(relative_width * root)
            if 0 < rows <= height and 0 < columns <= width:
                top = int(self.top * (height - rows + 1))
                left = int(self.left * (width - columns + 1))
                return Rectangle(slice(top, top + rows), slice(left, left + columns))
        return None


def random_rectangles(area: Range, aspect_ratio: Range, draws: Draws) -> Iterator[RandomRectangle]:
    """A rectangle for each row of `draws`, with ten tries (N, 22).

    The fraction of the image's area is uniform in `area`, the logarithm of width / height is
    uniform in `aspect_ratio`, and the position is uniform (Szegedy et al., "Going deeper with
    convolutions", 2015, section 6, in the form of torchvision).
    """
    areas = _between(*area, draws[:, :_NUM_TRIES])
    low, high = np.log(aspect_ratio)
    ratios = np.exp(_between(low, high, draws[:, _NUM_TRIES : 2 * _NUM_TRIES]))
    columns = np.sqrt(areas / ratios), np.sqrt(areas * ratios), *draws[:, -2:].T
    return map(RandomRectangle, *(column.tolist() for column in columns))


def central_rectangle(shape: tuple[int, ...], aspect_ratio: Range) -> Rectangle:
    """The largest central rectangle of an image whose width / height is within `aspect_ratio`."""
    height, width = shape[:2]
    rows = min(height, round(width / aspect_ratio[0]))
    columns = min(width, round(height * aspect_ratio[1]))
    top, left = (height - rows) // 2, (width - columns) // 2
    return Rectangle(slice(top, top + rows), slice(left, left + columns))


class ColourChange(NamedTuple):
    """An affine map of colours that depends on the mean grey of the image.

    Attributes:
        matrix: (3, 4), of a colour followed by a 1.
        grey: Factor; this times the mean grey is added to every value.
    """

    matrix: npt.NDArray[np.float64]
    grey: float

    def apply(self, pixels: Pixels) -> None:
        """Changes the colours of `pixels` (H, W, 3) in place."""
        mean_grey = cv2.mean(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY))[0]
        matrix = self.matrix.copy()
        matrix[:, 3] += self.grey * mean_grey
        cv2.transform(pixels, matrix, dst=pixels)


class Augmentation(NamedTuple):
    """The augmentation of one image; colour change and erased rectangle may be None."""

    crop: RandomRectangle
    is_flipped: bool
    operations: tuple[Operation, ...]
    colours: Optional[ColourChange]
    erased: Optional[RandomRectangle]


def _between(low: float, high: float, draws: Draws) -> Draws:
    return low + (high - low) * draws


def _normal(draws: Draws) -> Draws:
    """Three columns of normally distributed numbers from four (Box and Muller, 1958)."""
    radii = np.sqrt(-2 * np.log(1 - draws[:, :2]))
    angles = 2 * np.pi * draws[:, 2:]
    return np.hstack([radii * np.cos(angles), radii[:, :1] * np.sin(angles[:, :1])])


@dataclass(frozen=True)
class TrainTransform:
    """Random resized crop, flip, policy, colour jitter with lighting noise, random erasing.

    Shrinking is bilinear without averaging, as in ImageRecordIter, with which gluoncv's published
    weights were trained.

    Attributes:
        resolution: Height and width in pixels of the result.
        squash: Side in pixels of the square to which images are squashed first; None for none.
        area: Smallest and largest fraction of the image's area that a crop covers.
        aspect_ratio: Smallest and largest width / height of a crop.
        flip: Probability of a left-right flip.
        policy: Random operations, see `augmentation_policies`; None for none.
        magnitude: 0 to 30, of the policy `randaugment`; None for 9.
        brightness: Values are multiplied by a factor from [1 - brightness, 1 + brightness].
        contrast: Distances from the crop's mean grey are multiplied by such a factor.
        saturation: Distances of a colour from its grey are multiplied by such a factor.
        hue: Colours are rotated about the grey axis by up to this fraction of the circle.
        pca_noise: Standard deviation of the weights of AlexNet's lighting noise, there 0.1.
        random_erasing: Probability that a rectangle is painted over with the mean colour.
        normalization: The normalisation of the network's input.
        exif_orientation: `apply` rotates photographs as their EXIF orientation says; `ignore` does
            not.
    """

    resolution: int = 224
    squash: Optional[int] = None
    area: Range = (0.08, 1.0)
    aspect_ratio: Range = (3 / 4, 4 / 3)
    flip: float = 0.5
    policy: Optional[Policy] = None
    magnitude: Optional[int] = None
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    pca_noise: float = 0.0
    random_erasing: float = 0.0
    normalization: Normalization = IMAGENET
    exif_orientation: ExifOrientation = "ignore"

    def augmentations(self, draws: Draws) -> Iterator[Augmentation]:
        """The augmentation of each of N images, from uniform `draws` (N, NUM_DRAWS)."""
        return map(
            Augmentation,
            random_rectangles(self.area, self.aspect_ratio, draws[:, _CROP]),
            (draws[:, _FLIP] < self.flip).tolist(),
            self._operations(draws[:, _POLICY]),
            self._colour_changes(draws),
            self._erased(draws),
        )

    def pixels(
        self, image: Encoded, augmentation: Augmentation, out: Optional[Pixels] = None
    ) -> Pixels:
        """The augmented image (resolution, resolution, 3), blue, green, red; in `out` if given.

        Raises:
            DataError: The image cannot be decoded.
        """
        decoded = decode_bgr(image, self.exif_orientation)
        if self.squash:
            decoded = cv2.resize(decoded, (self.squash,) * 2, interpolation=cv2.INTER_LINEAR)
        crop = augmentation.crop.within(decoded.shape)
        crop = crop or central_rectangle(decoded.shape, self.aspect_ratio)
        size = (self.resolution, self.resolution)
        out = cv2.resize(decoded[crop], size, dst=out, interpolation=cv2.INTER_LINEAR)
        if augmentation.is_flipped:
            cv2.flip(out, 1, dst=out)
        if augmentation.operations:
            augmentation_policies.apply(augmentation.operations, out)
        if augmentation.colours:
            augmentation.colours.apply(out)
        erased = augmentation.erased and augmentation.erased.within(out.shape)
        if erased:
            out[erased] = [round(255 * mean) for mean in self.normalization.mean[::-1]]
        return out

    def _operations(self, draws: Draws) -> Iterable[tuple[Operation, ...]]:
        if self.policy is None:
            return itertools.repeat((), len(draws))
        side = self.resolution
        return augmentation_policies.operations(self.policy, self.magnitude, side, draws)

    def _colour_changes(self, draws: Draws) -> Iterable[Optional[ColourChange]]:
        """Jitter and lighting noise of each image as one map of its colours.

        Each kind of jitter is affine, and all of them commute: they scale, turn or move colours
        along or about the grey axis. Done in one step, nothing is rounded or clipped in between,
        and their order, which others choose at random, does not matter.
        """
        amounts = np.array([self.brightness, self.contrast, self.saturation, self.hue])
        if not amounts.any() and not self.pca_noise:
            return itertools.repeat(None, len(draws))
        *changes, turns = (amounts * _between(-1, 1, draws[:, _JITTER])).T
        brightness, contrast, saturation = (1 + change for change in changes)
        grey = brightness * contrast
        turned = grey * saturation * np.exp(2j * np.pi * turns)
        scales = np.stack([grey, turned.real, turned.imag], axis=1)
        shifts = self.pca_noise * _normal(draws[:, _LIGHTING]) @ _COMPONENTS.T
        matrices = np.dstack([(scales @ _COLOUR_BASIS).reshape(-1, 3, 3), shifts])
        return map(ColourChange, matrices, (brightness * (1 - contrast)).tolist())

    def _erased(self, draws: Draws) -> Iterable[Optional[RandomRectangle]]:
        if not self.random_erasing:
            return itertools.repeat(None, len(draws))
        is_erased = draws[:, _IS_ERASED] < self.random_erasing
        rectangles = random_rectangles(_ERASED_AREA, _ERASED_ASPECT_RATIO, draws[:, _ERASED])
        return (part if erased else None for part, erased in zip(rectangles, is_erased.tolist()))
