"""Draws the embedded sample data set: ten classes that differ in both shape and colour.

Five shapes and five colours form a ring: every shape occurs in two colours, every colour in two
shapes. From the shape or the colour alone, two classes are equally likely, so that at best half of
the predictions are right. Three rules make shape and colour independent of each other:

* The luma of every paint (its grey value, ITU-R BT.601) is drawn independently of its hue, and
paints
  are only mixed or dimmed afterwards: a grey picture contains no information about the colour.
* All shapes have the same distribution of areas and are completely within the picture: the number
of
  pixels of each colour contains no information about the shape.
* Shapes that share a colour have outlines of similar length, and so a similar number of mixed
pixels.
"""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mobilenet.errors import DataError

Planes = npt.NDArray[np.float32]  # (3, H, W): red, green and blue, 0 to 255
Weights = npt.NDArray[np.float32]  # (H, W), 0 to 1
Paint = npt.NDArray[np.float32]  # (3, 1, 1): red, green and blue, 0 to 255

# Sorted, so that a label is also the rank of the folder's name.
CLASSES: tuple[str, ...] = (
    "blue-cross",
    "blue-star",
    "green-star",
    "green-triangle",
    "purple-cross",
    "purple-square",
    "red-circle",
    "red-square",
    "yellow-circle",
    "yellow-triangle",
)

# Directions in the plane of the chroma components (Cb, Cr).
_HUE_DEGREES = {"red": 109.0, "yellow": 161.0, "green": 232.0, "blue": 330.0, "purple": 38.0}
_HUE_SPREAD_DEGREES = 12.0

_SUBPIXEL_BITS = 4


def _regular(num_corners: int) -> npt.NDArray[np.complex128]:
    """The corners of a regular polygon around the origin, x + iy."""
    corners: npt.NDArray[np.complex128] = np.exp(2j * np.pi * np.arange(num_corners) / num_corners)
    return corners


_CORNERS = {
    "circle": _regular(48),
    "triangle": -1j * _regular(3),
    "star": -1j * _regular(10) * np.tile((1, 0.54), 5),
    "cross": np.outer(_regular(4), (1 - 0.42j, 1 + 0.42j, 0.42 + 0.42j)).ravel(),
    "square": (1 + 1j) * _regular(4),
}


def write_sample(
    directory: Path, num_train_per_class: int, num_val_per_class: int, size: int, seed: int
) -> None:
    """Draws `directory`/train/<class>/*.jpg and `directory`/val/<class>/*.jpg, whole or not at all.

    Every picture has a random stream of its own, made of `seed` (0 or more), split, class and
    number: a larger set contains the smaller one, and no training picture is a validation picture.

    Raises:
        DataError: `directory` exists and is not an empty folder.
    """
    if directory.exists() and not (directory.is_dir() and not any(directory.iterdir())):
        raise DataError(f"{directory} already exists: name a new folder for the sample")
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{directory.name}.", dir=directory.parent) as parent:
        whole = Path(parent) / "sample"
        for split, num_per_class in enumerate((num_train_per_class, num_val_per_class)):
            for label, name in enumerate(CLASSES):
                folder = whole / ("train", "val")[split] / name
                folder.mkdir(parents=True)
                for number in range(num_per_class):
                    rng = np.random.default_rng((seed, split, label, number))
                    (folder / f"{number:05d}.jpg").write_bytes(_jpeg(draw(label, size, rng), rng))
        os.sync()  # the pictures must be on the disk before the name is
        whole.replace(directory)


def draw(label: int, size: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A new picture of the class `CLASSES[label]`: `(size, size, 3)`, RGB.

    One object of 15 to 32 % of the area before a background with strokes of any colour. Mirroring,
    turning and cropping keep the class as long as enough of the object is left.
    """
    colour, shape = CLASSES[label].split("-")
    luma = rng.uniform(120, 178)
    scene = _background(luma + rng.choice((-1, 1)) * rng.uniform(60, 110), size, rng)
    mask = _mask(shape, size, rng)
    scene *= 1 - rng.uniform(0.1, 0.5) * _shadow(mask, rng)
    hue = _HUE_DEGREES[colour] + rng.uniform(-_HUE_SPREAD_DEGREES, _HUE_SPREAD_DEGREES)
    saturation = rng.uniform(0.75, 0.97)
    bright, dark = (_paint(gain * luma, hue, saturation) for gain in (1, rng.uniform(0.85, 1)))
    scene += mask * (_mixture(bright, dark, _pattern(size, rng)) - scene)
    scene *= 1 - rng.uniform(0, 0.25) * _ramp(size, rng)
    return _photograph(scene, rng)


def _background(luma: float, size: int, rng: np.random.Generator) -> Planes:
    """Two pale paints in a pattern, under a few strokes of any colour."""
    first, second = (
        _paint(luma + rng.uniform(-15, 15), rng.uniform(0, 360), rng.uniform(0, 0.4))
        for _ in range(2)
    )
    canvas = _mixture(first, second, _pattern(size, rng)).astype(np.uint8)
    for _ in range(rng.integers(2, 7)):
        paint = _paint(luma + rng.uniform(-50, 50), rng.uniform(0, 360), rng.uniform(0, 0.9))
        _add_stroke(canvas, paint, rng)
    return canvas.astype(np.float32)


def _add_stroke(canvas: npt.NDArray[np.uint8], paint: Paint, rng: np.random.Generator) -> None:
    """Draws an arc of an ellipse, which may reach beyond the picture."""
    size = canvas.shape[1]
    centre, axes = (
        (rng.uniform(low, high, 2) * (size << _SUBPIXEL_BITS)).astype(int).tolist()
        for low, high in ((0, 1), (0.1, 0.5))
    )
    turn, start = rng.uniform(0, 360, 2)
    stop = start + rng.uniform(30, 120)
    thickness = max(1, round(size * rng.uniform(0.01, 0.05)))
    for plane, value in zip(canvas, paint.ravel().tolist()):
        cv2.ellipse(
            plane, centre, axes, turn, start, stop, value, thickness, cv2.LINE_AA, _SUBPIXEL_BITS
        )


def _mask(shape: str, size: int, rng: np.random.Generator) -> Weights:
    """Where the object is: turned, stretched and moved at random, wholly within the picture."""
    corners = _CORNERS[shape] * np.exp(1j * rng.uniform(-0.4, 0.4))
    stretch, direction = rng.uniform(0, 0.12), np.exp(2j * np.pi * rng.random())
    corners = math.cosh(stretch) * corners + math.sinh(stretch) * direction * corners.conj()
    area = (corners.conj() @ np.roll(corners, -1)).imag / 2  # the shoelace formula
    corners *= math.sqrt(rng.uniform(0.15, 0.32) / area)
    points = np.stack([corners.real, corners.imag], axis=1)
    points += rng.random(2) * (1 - np.ptp(points, axis=0)) - points.min(axis=0)
    canvas = np.zeros((size, size), np.uint8)
    points = np.rint(points * (size << _SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillPoly(canvas, [points], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    mask: Weights = canvas / np.float32(255)
    return mask


def _shadow(mask: Weights, rng: np.random.Generator) -> Weights:
    """The mask moved a little and made soft."""
    size = len(mask)
    move = np.eye(2, 3)
    move[:, 2] = rng.uniform(-0.05, 0.05, 2) * size
    moved = cv2.warpAffine(mask, move, (size, size))
    shadow: Weights = cv2.GaussianBlur(moved, (0, 0), 0.03 * size)
    return shadow


def _paint(luma: float, hue_degrees: float, saturation: float) -> Paint:
    """The colour of exactly this luma; saturation 1 is the most vivid one that RGB can show."""
    luma = min(max(luma, 20.0), 235.0)
    cb, cr = math.cos(math.radians(hue_degrees)), math.sin(math.radians(hue_degrees))
    direction = (1.402 * cr, -0.344136 * cb - 0.714136 * cr, 1.772 * cb)  # of luma 0
    room = min((255 - luma if step > 0 else luma) / abs(step) for step in direction if step)
    channels = [luma + saturation * room * step for step in direction]
    return np.array(channels, np.float32).reshape(3, 1, 1)


def _mixture(first: Paint, second: Paint, share: Weights) -> Planes:
    mixture: Planes = first + share * (second - first)
    return mixture


def _pattern(size: int, rng: np.random.Generator) -> Weights:
    """How two paints share a surface: one runs into the other, in stripes or in patches."""
    kind = ("gradient", "stripes", "patches")[rng.integers(3)]
    if kind == "patches":
        num_patches = int(rng.integers(3, 12))
        patches = rng.random((num_patches, num_patches), dtype=np.float32)
        pattern: Weights = cv2.resize(patches, (size, size))
        return pattern
    ramp = _ramp(size, rng)
    return ramp if kind == "gradient" else 0.5 + 0.5 * np.sin(rng.uniform(25, 55) * ramp)


def _ramp(size: int, rng: np.random.Generator) -> Weights:
    """Rises evenly from 0 to 1 across the picture, in a random direction."""
    angle = rng.uniform(0, 2 * np.pi)
    right, down = math.cos(angle), math.sin(angle)
    along = (np.arange(size, dtype=np.float32) / (size - 1) - 0.5) / (abs(right) + abs(down))
    ramp: Weights = 0.5 + right * along + down * along[:, np.newaxis]
    return ramp


def _photograph(scene: Planes, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """The scene slightly out of focus and with a sensor's noise."""
    sharp = np.ascontiguousarray(scene.transpose(1, 2, 0))
    picture = cv2.GaussianBlur(sharp, (0, 0), len(sharp) * rng.uniform(0.002, 0.01))
    picture += rng.uniform(0, 6) * rng.standard_normal(picture.shape, np.float32)
    rounded: npt.NDArray[np.uint8] = np.rint(picture).clip(0, 255).astype(np.uint8)
    return rounded


def _jpeg(picture: npt.NDArray[np.uint8], rng: np.random.Generator) -> bytes:
    quality = int(rng.integers(60, 96))
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, quality))[1].tobytes()
