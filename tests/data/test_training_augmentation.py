"""Training augmentation against step-by-step NumPy, and the distribution of what it draws."""

from __future__ import annotations

import math

import mxnet as mx
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import Array, bilinear, png

from mobilenet.data.eval_transforms import TENSORFLOW
from mobilenet.data.training_augmentation import (
    _COMPONENTS,
    NUM_DRAWS,
    RandomRectangle,
    TrainTransform,
    central_rectangle,
    random_rectangles,
)
from mobilenet.settings.schema import Config

Values = npt.NDArray[np.float64]

LUMA = np.array([0.299, 0.587, 0.114])
SIDE = 32
ANY_DRAW = st.floats(0, 1, exclude_max=True)


def picture(low: int = 60, high: int = 190, side: int = SIDE) -> Array:
    return np.random.default_rng(1).integers(low, high, (side, side, 3)).astype(np.uint8)


def uniform(num_rows: int, seed: int = 0, num_columns: int = NUM_DRAWS) -> Values:
    return np.random.default_rng(seed).random((num_rows, num_columns))


def draws_with(columns: dict[int, list[float]]) -> Values:
    """One row of draws that neither flip nor erase, with others from the given columns on."""
    draws = np.full((1, NUM_DRAWS), 0.99)
    for start, values in columns.items():
        draws[0, start : start + len(values)] = values
    return draws


def augmented(pixels: Array, draws: Values, **fields: object) -> Values:
    """The whole picture augmented, (H, W, 3), red, green, blue."""
    whole = {"resolution": SIDE, "area": (1, 1), "aspect_ratio": (1, 1)}
    transform = TrainTransform(**{**whole, **fields})
    (augmentation,) = transform.augmentations(draws)
    return transform.pixels(png(pixels), augmentation)[..., ::-1].astype(np.float64)


def greatest_deviation_from_uniform(values: Values) -> float:
    """Kolmogorov and Smirnov's statistic, times the root of the sample size."""
    steps = np.arange(1, len(values) + 1) / len(values)
    deviation: float = np.abs(np.sort(values) - steps).max()
    return deviation * math.sqrt(len(values))


class TestRectangle:
    def test_area_aspect_and_place_are_uniform(self) -> None:
        found = []
        for rectangle in random_rectangles((0.1, 0.3), (3 / 4, 4 / 3), uniform(3000, 0, 22)):
            part = rectangle.within((900, 1000, 3))
            assert part
            height, width = part.rows.stop - part.rows.start, part.columns.stop - part.columns.start
            found.append(
                (
                    (height * width / 900_000 - 0.1) / 0.2,
                    (math.log(width / height) / math.log(4 / 3) + 1) / 2,
                    (part.rows.start + 0.5) / (900 - height + 1),
                    (part.columns.start + 0.5) / (1000 - width + 1),
                )
            )
        for values in np.array(found).T:
            assert greatest_deviation_from_uniform(values) < 1.95  # p = 0.001
        assert np.abs(np.corrcoef(np.array(found).T) - np.eye(4)).max() < 5 / math.sqrt(3000)

    @settings(deadline=None)
    @given(st.integers(1, 700), st.integers(1, 700), st.lists(ANY_DRAW, min_size=22, max_size=22))
    def test_is_inside_the_image(self, height: int, width: int, draws: list[float]) -> None:
        (rectangle,) = random_rectangles((0.08, 1), (3 / 4, 4 / 3), np.array([draws]))
        part = rectangle.within((height, width))
        if part:
            for span, side in zip(part, (height, width)):
                assert 0 <= span.start < span.stop <= side

    def test_first_try_that_fits(self) -> None:
        rectangle = RandomRectangle([1.2, 0.5, 0.1], [0.5, 0.25, 0.1], top=0.999, left=0.0)
        assert rectangle.within((100, 100)) == (slice(50, 100), slice(0, 25))
        assert rectangle.within((25, 400)) == (slice(15, 25), slice(0, 10))

    def test_all_ten_tries_count(self) -> None:
        draws = np.full((1, 22), 0.99)
        draws[0, 9], draws[0, 19] = 0.0, 0.5  # a tenth of the area, square
        (rectangle,) = random_rectangles((0.1, 1), (1 / 4, 4), draws)
        assert rectangle.within((100, 100)) == (slice(68, 100), slice(68, 100))

    def test_gives_up_on_what_cannot_fit(self) -> None:
        for rectangle in random_rectangles((1, 1), (3 / 4, 4 / 3), uniform(20, 0, 22)):
            assert rectangle.within((20, 2000)) is None

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
        result = augmented(pixels, draws_with({}))
        assert np.abs(result - bilinear(pixels, SIDE, SIDE)).max() <= 1

    def test_is_where_the_draws_say(self) -> None:
        """A plane stays a plane, so that every pixel shows where it was taken from."""
        rows, columns = np.mgrid[:100, :160]
        pixels = np.stack([rows * 2, columns, rows + columns], axis=-1).astype(np.uint8)
        draws = draws_with({0: [0.3], 10: [0.8], 20: [0.25, 0.75]})
        area, ratio = 16000 * (0.08 + 0.92 * 0.3), (3 / 4) * (16 / 9) ** 0.8
        height, width = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        top, left = int(0.25 * (100 - height + 1)), int(0.75 * (160 - width + 1))
        defaults = {"area": (0.08, 1.0), "aspect_ratio": (3 / 4, 4 / 3)}
        result = augmented(pixels, draws, resolution=40, **defaults)
        y = (top + (np.arange(40) + 0.5) * height / 40 - 0.5)[:, None]
        x = (left + (np.arange(40) + 0.5) * width / 40 - 0.5)[None, :]
        expected = np.stack(np.broadcast_arrays(y * 2, x, y + x), axis=-1)
        assert np.abs(result - expected).max() <= 1

    def test_squash_comes_first(self) -> None:
        pixels = np.repeat(np.repeat(picture(side=20), 2, axis=0), 3, axis=1)
        squashed = bilinear(pixels, 24, 24)
        result = augmented(pixels, draws_with({}), squash=24)
        assert np.abs(result - bilinear(squashed, SIDE, SIDE)).max() <= 2

    def test_of_a_narrow_image_is_central(self) -> None:
        pixels = np.zeros((20, 600, 3), np.uint8)
        pixels[:, 286:313] = 200  # the 27 columns that 4 / 3 leaves
        assert (augmented(pixels, draws_with({}), aspect_ratio=(3 / 4, 4 / 3)) == 200).all()

    @pytest.mark.parametrize(("draw", "flipped"), [(0.0, True), (0.29, True), (0.3, False)])
    def test_flip(self, draw: float, flipped: bool) -> None:
        pixels = picture()
        result = augmented(pixels, draws_with({22: [draw]}), flip=0.3)
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
            draws = draws_with({23: [0.123, 0.987, 0.345, 0.678]})
            draws[0, 23 + index] = draw
            result = augmented(pixels, draws, **{name: 0.4})
            assert np.abs(result - expected.clip(0, 255)).max() <= 1, name

    @pytest.mark.parametrize("reverse", [False, True])
    def test_all_commute(self, reverse: bool) -> None:
        pixels = picture(100, 150)
        steps = [
            lambda v: brightened(v, 1 + 0.3 * 0.8),
            lambda v: contrasted(v, 1 - 0.4 * 0.6),
            lambda v: saturated(v, 1 + 0.5 * 0.4),
            lambda v: hue_turned(v, 0.1 * 0.6),
        ]
        expected = pixels.astype(np.float64)
        for step in reversed(steps) if reverse else steps:
            expected = step(expected)
        draws = draws_with({23: [0.9, 0.2, 0.7, 0.8]})
        jitter = {"brightness": 0.3, "contrast": 0.4, "saturation": 0.5, "hue": 0.1}
        result = augmented(pixels, draws, **jitter)
        assert expected.min() > 0
        assert expected.max() < 255
        assert np.abs(result - expected).max() <= 1

    def test_is_clipped(self) -> None:
        pixels = picture(0, 256)
        result = augmented(pixels, draws_with({23: [0.999]}), brightness=1.0)
        assert result.max() == 255
        assert np.abs(result - (pixels * (1 + 0.998)).clip(0, 255)).max() <= 1

    def test_pca_noise(self) -> None:
        pixels, (u, v, a, b) = picture(), (0.9, 0.95, 0.05, 0.9)
        first, second = math.sqrt(-2 * math.log(1 - u)), math.sqrt(-2 * math.log(1 - v))
        normals = [
            first * math.cos(2 * math.pi * a),
            second * math.cos(2 * math.pi * b),
            first * math.sin(2 * math.pi * a),
        ]
        shift = np.zeros(3)
        for normal, weight, component in zip(
            normals,
            (55.46, 4.794, 1.148),
            ((-0.5675, -0.5808, -0.5836), (0.7192, -0.0045, -0.6948), (0.4009, -0.8140, 0.4203)),
        ):
            shift += 0.1 * normal * weight * np.array(component)
        result = augmented(pixels, draws_with({27: [u, v, a, b]}), pca_noise=0.1)
        assert np.abs(shift).max() > 3
        assert np.abs(result - (pixels + shift)).max() <= 1

    def test_pca_noise_is_normal(self) -> None:
        """Every value of a grey picture shows the shift, rounded."""
        transform = TrainTransform(2, pca_noise=0.2)
        image = png(np.full((9, 9, 3), 128, np.uint8))
        shifts = np.array(
            [
                transform.pixels(image, augmentation)[0, 0, ::-1].astype(np.float64) - 128
                for augmentation in transform.augmentations(uniform(1000))
            ]
        )
        along = shifts @ [-0.5675, -0.5808, -0.5836]
        assert abs(along.mean()) < 3.3 * 0.2 * 55.46 / math.sqrt(1000)
        assert abs(along.std() / (0.2 * 55.46) - 1) < 3.3 / math.sqrt(2 * 1000)


class TestErasing:
    def test_paints_the_mean_colour(self) -> None:
        pixels = picture(200, 256)
        # A tenth of the image, square, from row and column 3.
        draws = draws_with({31: [0.49, 0.255], 42: [0.5], 52: [0.15, 0.15]})
        expected = pixels.copy()
        expected[3:13, 3:13] = 124, 116, 104  # 255 times 0.485, 0.456, 0.406
        np.testing.assert_array_equal(augmented(pixels, draws, random_erasing=0.5), expected)
        draws[0, 31] = 0.5
        np.testing.assert_array_equal(augmented(pixels, draws, random_erasing=0.5), pixels)

    def test_area(self) -> None:
        transform = TrainTransform(SIDE, random_erasing=1.0, normalization=TENSORFLOW)
        white = png(np.full((SIDE, SIDE, 3), 255, np.uint8))
        areas = [
            (transform.pixels(white, augmentation) == 128).all(axis=-1).mean()
            for augmentation in transform.augmentations(uniform(500))
        ]
        assert 0.01 < min(areas) < 0.04
        assert 0.30 < max(areas) < 0.35
        assert 0.14 < np.mean(areas) < 0.20


class TestDraws:
    @settings(deadline=None)
    @given(st.lists(ANY_DRAW, min_size=NUM_DRAWS, max_size=NUM_DRAWS))
    def test_of_any_kind_will_do(self, draws: list[float]) -> None:
        jitter = {"hue": 0.5, "brightness": 1.0, "contrast": 1.0, "saturation": 1.0}
        everything = {"area": (0.08, 1), "pca_noise": 1.0, "random_erasing": 1.0, **jitter}
        assert augmented(picture(), np.array([draws]), **everything).shape == (SIDE, SIDE, 3)

    def test_of_other_images_do_not_matter(self) -> None:
        transform = TrainTransform(24, brightness=0.4, hue=0.1, pca_noise=0.1, random_erasing=0.5)
        image, draws = png(picture(side=50)), uniform(40)
        together = [transform.pixels(image, a) for a in transform.augmentations(draws)]
        for row, pixels in zip(draws, together):
            (alone,) = transform.augmentations(row[None])
            np.testing.assert_array_equal(transform.pixels(image, alone), pixels)
        assert len({pixels.tobytes() for pixels in together}) == 40

    def test_into_given_memory(self) -> None:
        transform = TrainTransform(24, contrast=0.4, random_erasing=1.0, flip=1.0)
        image, (augmentation,) = png(picture(side=50)), transform.augmentations(uniform(1))
        out = np.zeros((24, 24, 3), np.uint8)
        assert transform.pixels(image, augmentation, out).ctypes.data == out.ctypes.data
        np.testing.assert_array_equal(out, transform.pixels(image, augmentation))


def test_lighting_is_that_of_mxnet() -> None:
    """The same colours and weights as in MXNet's own augmentation."""
    *_, theirs = (
        augmenter
        for augmenter in mx.image.CreateAugmenter((3, 8, 8), pca_noise=0.1)
        if isinstance(augmenter, mx.image.LightingAug)
    )
    columns = (theirs.eigvec * theirs.eigval)[::-1]  # red comes first there
    np.testing.assert_allclose(np.abs(_COMPONENTS), np.abs(columns), rtol=1e-6)


def test_defaults_are_those_of_the_configuration() -> None:
    ours, settings_ = TrainTransform(), Config().augmentation
    assert (ours.area, ours.aspect_ratio, ours.flip) == (
        settings_.area,
        settings_.aspect_ratio,
        settings_.flip,
    )
