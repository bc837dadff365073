"""Training augmentation against step-by-step NumPy, and the distribution of what it draws."""

from __future__ import annotations

import math
from typing import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import bilinear, png

from mobilenet.data.augment import (
    NUM_DRAWS,
    TrainTransform,
    central_rectangle,
    random_rectangle,
)
from mobilenet.data.transforms import IMAGENET, Normalization

Values = npt.NDArray[np.float64]

LUMA = np.array([0.299, 0.587, 0.114])
# Leaves the values 0 .. 255 as they are.
UNCHANGED = Normalization(mean=(0, 0, 0), std=(1 / 255, 1 / 255, 1 / 255))
# The first four draws choose the crop, the next one the flip.
NO_CROP, NO_FLIP = [0.5] * 4, [0.99]
SIDE = 32


def picture(low: int = 60, high: int = 190, side: int = SIDE) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(1).integers(low, high, (side, side, 3)).astype(np.uint8)


def augmented(pixels: npt.NDArray[np.uint8], draws: list[float], **changes: object) -> Values:
    """The augmented picture, (H, W, 3), uncropped; `draws` are those after crop and flip."""
    fields = {"resolution": SIDE, "normalization": UNCHANGED, **changes}
    transform = TrainTransform(area=(1, 1), aspect_ratio=(1, 1), **fields)
    result = transform(png(pixels), iter(NO_CROP + NO_FLIP + draws))
    return result.transpose(1, 2, 0).astype(np.float64)


def uniform(seed: int) -> Iterator[float]:
    generator = np.random.default_rng(seed)
    while True:
        yield from generator.random(1000).tolist()


def greatest_deviation_from_uniform(values: Values) -> float:
    """Kolmogorov and Smirnov's statistic, times the root of the sample size."""
    steps = np.arange(1, len(values) + 1) / len(values)
    deviation: float = np.abs(np.sort(values) - steps).max()
    return deviation * math.sqrt(len(values))


class TestRectangle:
    def test_area_aspect_and_place_are_uniform(self) -> None:
        draws, found = uniform(0), []
        for _ in range(3000):
            rectangle = random_rectangle((900, 1000), (0.1, 0.3), (3 / 4, 4 / 3), draws)
            assert rectangle
            rows, columns = rectangle
            height, width = rows.stop - rows.start, columns.stop - columns.start
            found.append(
                (
                    (height * width / 900_000 - 0.1) / 0.2,
                    (math.log(width / height) / math.log(4 / 3) + 1) / 2,
                    (rows.start + 0.5) / (900 - height + 1),
                    (columns.start + 0.5) / (1000 - width + 1),
                )
            )
        for values in np.array(found).T:
            assert greatest_deviation_from_uniform(values) < 1.95  # p = 0.001

    @settings(deadline=None)
    @given(
        st.integers(1, 700),
        st.integers(1, 700),
        st.lists(st.floats(0, 1, exclude_max=True), min_size=22, max_size=22),
    )
    def test_is_inside_the_image(self, height: int, width: int, draws: list[float]) -> None:
        rectangle = random_rectangle((height, width), (0.08, 1), (3 / 4, 4 / 3), iter(draws))
        if rectangle:
            for part, side in zip(rectangle, (height, width)):
                assert 0 <= part.start < part.stop <= side

    def test_gives_up_on_what_cannot_fit(self) -> None:
        draws = uniform(0)
        assert random_rectangle((20, 2000), (1, 1), (3 / 4, 4 / 3), draws) is None

    @pytest.mark.parametrize(
        ("shape", "rows", "columns"),
        [
            ((90, 120), slice(0, 90), slice(0, 120)),
            ((20, 2000), slice(0, 20), slice(986, 1013)),
            ((2000, 30), slice(980, 1020), slice(0, 30)),
            ((1, 5), slice(0, 1), slice(2, 3)),
        ],
    )
    def test_central(self, shape: tuple[int, int], rows: slice, columns: slice) -> None:
        assert central_rectangle(shape, (3 / 4, 4 / 3)) == (rows, columns)


class TestCrop:
    def test_shrinks_without_averaging(self) -> None:
        pixels = picture(0, 256, side=100)
        transform = TrainTransform(SIDE, (1, 1), (1, 1), flip=0, normalization=UNCHANGED)
        result = transform(png(pixels), iter(NO_CROP + NO_FLIP)).transpose(1, 2, 0)
        assert np.abs(result - bilinear(pixels, SIDE, SIDE)).max() <= 1

    def test_is_where_the_draws_say(self) -> None:
        """A plane stays a plane, so that every pixel shows where it was taken from."""
        rows, columns = np.mgrid[:100, :160]
        pixels = np.stack([rows * 2, columns, rows + columns], axis=-1).astype(np.uint8)
        draws = [0.3, 0.8, 0.25, 0.75, *NO_FLIP]
        area, ratio = 16000 * (0.08 + 0.92 * 0.3), (3 / 4) * (16 / 9) ** 0.8
        height, width = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        top, left = int(0.25 * (100 - height + 1)), int(0.75 * (160 - width + 1))
        result = TrainTransform(40, normalization=UNCHANGED)(png(pixels), iter(draws))
        y = (top + (np.arange(40) + 0.5) * height / 40 - 0.5)[:, None]
        x = (left + (np.arange(40) + 0.5) * width / 40 - 0.5)[None, :]
        expected = np.stack(np.broadcast_arrays(y * 2, x, y + x))
        assert np.abs(result - expected).max() <= 1

    def test_of_a_narrow_image_is_central(self) -> None:
        pixels = np.zeros((20, 600, 3), np.uint8)
        pixels[:, 286:313] = 200  # the 27 columns that 4 / 3 leaves
        transform = TrainTransform(32, area=(1, 1), normalization=UNCHANGED)
        assert (transform(png(pixels), uniform(3)) == 200).all()

    @pytest.mark.parametrize(("draw", "flipped"), [(0.0, True), (0.29, True), (0.3, False)])
    def test_flip(self, draw: float, flipped: bool) -> None:
        pixels = picture()
        transform = TrainTransform(SIDE, (1, 1), (1, 1), flip=0.3, normalization=UNCHANGED)
        result = transform(png(pixels), iter([*NO_CROP, draw])).transpose(1, 2, 0)
        np.testing.assert_array_equal(result, pixels[:, ::-1] if flipped else pixels)


def brightened(pixels: Values, factor: float) -> Values:
    return pixels * factor


def contrasted(pixels: Values, factor: float) -> Values:
    return pixels * factor + (pixels @ LUMA).mean() * (1 - factor)


def saturated(pixels: Values, factor: float) -> Values:
    return pixels * factor + (pixels @ LUMA)[..., None] * (1 - factor)


def hue_turned(pixels: Values, part: float) -> Values:
    """Turns the colour plane of YIQ, by way of YIQ."""
    to_yiq = np.array([LUMA, [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
    luma, i, q = np.moveaxis(pixels @ to_yiq.T, -1, 0)
    turned = (i + 1j * q) * np.exp(2j * np.pi * part)
    yiq = np.stack([luma, turned.real, turned.imag], axis=-1)
    return yiq @ np.linalg.inv(to_yiq).T


class TestJitter:
    """The draws are for brightness, contrast, saturation and hue; OpenCV rounds to grey levels."""

    @pytest.mark.parametrize("draw", [0.0, 0.1, 0.5, 0.9, 0.999])
    def test_each_alone(self, draw: float) -> None:
        pixels = picture()
        values, factor = pixels.astype(np.float64), 1 + 0.4 * (2 * draw - 1)
        for index, (name, expected) in enumerate(
            {
                "brightness": brightened(values, factor),
                "contrast": contrasted(values, factor),
                "saturation": saturated(values, factor),
                "hue": hue_turned(values, 0.4 * (2 * draw - 1)),
            }.items()
        ):
            draws = [0.123, 0.987, 0.345, 0.678]
            draws[index] = draw
            result = augmented(pixels, draws, **{name: 0.4})
            assert np.abs(result - expected.clip(0, 255)).max() <= 1, name

    @pytest.mark.parametrize("reverse", [False, True])
    def test_all_commute(self, reverse: bool) -> None:
        pixels, draws = picture(100, 150), [0.9, 0.2, 0.7, 0.8]
        steps = [
            lambda v: brightened(v, 1 + 0.3 * 0.8),
            lambda v: contrasted(v, 1 - 0.4 * 0.6),
            lambda v: saturated(v, 1 + 0.5 * 0.4),
            lambda v: hue_turned(v, 0.1 * 0.6),
        ]
        expected = pixels.astype(np.float64)
        for step in reversed(steps) if reverse else steps:
            expected = step(expected)
        result = augmented(pixels, draws, brightness=0.3, contrast=0.4, saturation=0.5, hue=0.1)
        assert expected.min() > 0
        assert expected.max() < 255
        assert np.abs(result - expected).max() <= 1

    def test_is_clipped(self) -> None:
        result = augmented(picture(0, 256), [0.999, 0.5, 0.5, 0.5], brightness=1.0)
        assert result.max() == 255
        expected = (picture(0, 256) * (1 + 0.998)).clip(0, 255)
        assert np.abs(result - expected).max() <= 1

    def test_pca_noise(self) -> None:
        pixels, (u, v, a, b) = picture(), (0.9, 0.95, 0.05, 0.9)
        first, second = math.sqrt(-2 * math.log(1 - u)), math.sqrt(-2 * math.log(1 - v))
        normals = [
            first * math.cos(2 * math.pi * a),
            first * math.sin(2 * math.pi * a),
            second * math.cos(2 * math.pi * b),
        ]
        shift = np.zeros(3)
        for normal, weight, component in zip(
            normals,
            (55.46, 4.794, 1.148),
            ((-0.5675, -0.5808, -0.5836), (0.7192, -0.0045, -0.6948), (0.4009, -0.8140, 0.4203)),
        ):
            shift += 0.1 * normal * weight * np.array(component)
        result = augmented(pixels, [0.5] * 4 + [u, v, a, b], pca_noise=0.1)
        assert np.abs(shift).max() > 3
        assert np.abs(result - (pixels + shift)).max() <= 1

    def test_pca_noise_is_normal(self) -> None:
        grey = np.full((SIDE, SIDE, 3), 128, np.uint8)
        generator = np.random.default_rng(0)
        shifts = np.array(
            [
                augmented(grey, generator.random(8).tolist(), pca_noise=0.2).mean((0, 1)) - 128
                for _ in range(600)
            ]
        )
        along = shifts @ [-0.5675, -0.5808, -0.5836]
        assert abs(along.mean()) < 3.3 * 0.2 * 55.46 / math.sqrt(600)
        assert abs(along.std() / (0.2 * 55.46) - 1) < 0.1


class TestErasing:
    def test_paints_the_mean_colour(self) -> None:
        pixels = picture(200, 256)
        erasing = {"random_erasing": 0.5, "normalization": IMAGENET}
        # A tenth of the image, square, from row and column 3.
        draws = [0.49, 0.255, 0.5, 0.15, 0.15]
        changed = np.abs(augmented(pixels, draws, **erasing)).max(axis=-1) < 0.01
        expected = np.zeros((SIDE, SIDE), bool)
        expected[3:13, 3:13] = True
        np.testing.assert_array_equal(changed, expected)
        spared = augmented(pixels, [0.5, *draws[1:]], **erasing)
        assert spared.min() > 1

    def test_area(self) -> None:
        white = np.full((SIDE, SIDE, 3), 255, np.uint8)
        draws, areas = uniform(1), []
        for _ in range(500):
            transform = TrainTransform(SIDE, random_erasing=1.0, normalization=IMAGENET)
            areas.append((transform(png(white), draws)[0] < 0.1).mean())
        assert 0.01 < min(areas) < 0.04
        assert 0.30 < max(areas) < 0.35
        assert 0.14 < np.mean(areas) < 0.20


class TestDraws:
    @settings(deadline=None)
    @given(st.lists(st.floats(0, 1, exclude_max=True), min_size=NUM_DRAWS, max_size=NUM_DRAWS))
    def test_are_never_used_up(self, draws: list[float]) -> None:
        TrainTransform(
            16, area=(0.9, 1), hue=0.1, brightness=0.4, pca_noise=0.1, random_erasing=1.0
        )(png(picture(side=24)), iter(draws))

    def test_most_are_used_by_the_worst_case(self) -> None:
        """Every try for the crop fails, the tenth for the erased rectangle does not."""
        failing = [0.999, 0.999] * 10
        draws = [*failing, 0.9, *[0.5] * 8, 0.0, *[0.999, 0.999] * 9, 0.5, 0.5, 0.1, 0.1]
        rest = iter([*draws, 0.77])
        transform = TrainTransform(16, random_erasing=1.0, pca_noise=0.1)
        transform(png(np.zeros((30, 2000, 3), np.uint8)), rest)
        assert list(rest) == [0.77]
        assert len(draws) <= NUM_DRAWS

    def test_same_draws_give_the_same_bytes(self) -> None:
        transform = TrainTransform(24, brightness=0.4, contrast=0.4, hue=0.1, random_erasing=0.5)
        image = png(picture(side=50))
        results = [transform(image, uniform(seed)).tobytes() for seed in (4, 4, 5)]
        assert results[0] == results[1] != results[2]

    def test_into_given_memory(self) -> None:
        out = np.zeros((3, 24, 24), np.float32)
        image = png(picture(side=50))
        assert TrainTransform(24)(image, uniform(4), out) is out
        np.testing.assert_array_equal(out, TrainTransform(24)(image, uniform(4)))
