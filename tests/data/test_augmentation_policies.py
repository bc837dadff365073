"""RandAugment, TrivialAugment, AutoAugment against NumPy, and torchvision where installed."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pictures import png
from PIL import Image

from mobilenet.data import augmentation_policies as policies
from mobilenet.data.augmentation_policies import Operation, Policy
from mobilenet.data.training_augmentation import NUM_DRAWS, TrainTransform

Array = npt.NDArray[np.uint8]
POLICIES: tuple[Policy, ...] = ("randaugment", "trivialaugment", "autoaugment")
GREY = np.array([299, 587, 114]) / 1000


def picture(height: int = 24, width: int = 24) -> Array:
    return np.random.default_rng(1).integers(20, 230, (height, width, 3)).astype(np.uint8)


def done(name: str, magnitude: float, pixels: Array) -> npt.NDArray[np.int64]:
    image = Operation(name, magnitude).apply(Image.fromarray(pixels))
    return np.asarray(image).astype(np.int64)


def blended(pixels: Array, other: Any, change: float) -> npt.NDArray[np.float64]:
    return np.clip(other + (1 + change) * (pixels.astype(np.float64) - other), 0, 255)


class TestOperations:
    """Each operation against what its name says, written out."""

    @pytest.mark.parametrize("change", [-0.9, -0.3, 0.0, 0.4, 0.9])
    def test_brightness_colour_and_contrast_move_away_from_black_grey_and_mean(
        self, change: float
    ) -> None:
        pixels = picture()
        grey = pixels @ GREY
        for name, other in [
            ("Brightness", 0.0),
            ("Color", np.round(grey)[..., None]),
            ("Contrast", round(np.round(grey).mean())),
        ]:
            apart = np.abs(done(name, change, pixels) - blended(pixels, other, change)).max()
            assert apart <= 2, name  # what is rounded on the way, up to 1.9 times

    def test_sharpness_moves_away_from_the_smoothed_picture_but_for_its_border(self) -> None:
        pixels = picture().astype(np.float64)
        inside = sum(
            (5 if (y, x) == (1, 1) else 1) * pixels[y : y + 22, x : x + 22]
            for y in range(3)
            for x in range(3)
        )
        smooth = pixels.copy()
        smooth[1:-1, 1:-1] = np.round(inside / 13)
        expected = blended(picture(), smooth, -0.5)
        assert np.abs(done("Sharpness", -0.5, picture()) - expected).max() <= 1

    @pytest.mark.parametrize("bits", [2, 4, 8])
    def test_posterize_keeps_the_upper_bits(self, bits: int) -> None:
        expected = picture() >> (8 - bits) << (8 - bits)
        assert np.array_equal(done("Posterize", bits, picture()), expected)

    def test_solarize_inverts_from_the_threshold_on_and_invert_all(self) -> None:
        pixels = picture().astype(np.int64)
        expected = np.where(pixels >= 110.5, 255 - pixels, pixels)
        assert np.array_equal(done("Solarize", 110.5, picture()), expected)
        assert np.array_equal(done("Invert", 0, picture()), 255 - pixels)
        assert np.array_equal(done("Identity", 0, picture()), pixels)

    def test_autocontrast_stretches_each_channel(self) -> None:
        pixels = picture().astype(np.float64)
        low, high = pixels.min(axis=(0, 1)), pixels.max(axis=(0, 1))
        expected = (pixels - low) * 255 / (high - low)
        assert np.abs(done("AutoContrast", 0, picture()) - expected).max() <= 1

    def test_equalize_maps_a_value_to_the_number_of_darker_pixels(self) -> None:
        dark = (picture(64, 64) // 4).astype(np.uint8)
        for channel, equalized in zip(dark.T, done("Equalize", 0, dark).T):
            brightest = np.count_nonzero(channel == channel.max())
            step = (channel.size - brightest) // 255
            darker = np.sort(channel.ravel()).searchsorted(channel)
            assert np.array_equal(equalized, np.minimum((darker + step // 2) // step, 255))

    @pytest.mark.parametrize("shift", [0.0, 5.9, -5.9])
    def test_translations_go_right_and_down_by_whole_pixels(self, shift: float) -> None:
        whole = int(shift)
        for name, axis in (("TranslateX", 1), ("TranslateY", 0)):
            expected = np.roll(picture(), whole, axis)
            empty = slice(0, whole) if whole >= 0 else slice(24 + whole, 24)
            expected[(slice(None), empty) if axis else (empty,)] = 0
            assert np.array_equal(done(name, shift, picture()), expected)

    @pytest.mark.parametrize("shear", [0.3, -0.3])
    def test_shears_move_rows_left_and_columns_up_by_their_distance(self, shear: float) -> None:
        ramp = np.repeat(np.arange(100, 124, dtype=np.uint8)[None, :, None], 24, 0).repeat(3, 2)
        places = np.arange(24)
        expected = 100 + places[None] + shear * (places[:, None] + 0.5)
        within = (expected >= 100) & (expected <= 123)
        sheared = done("ShearX", shear, ramp)[..., 0]
        assert np.abs(sheared - expected)[within].max() <= 1
        assert sheared[~within].min() == 0
        other = done("ShearY", shear, ramp.transpose(1, 0, 2))[..., 0]
        assert np.array_equal(other, sheared.T)

    def test_rotation_is_counter_clockwise_and_fills_with_black(self) -> None:
        assert np.array_equal(done("Rotate", 90, picture()), np.rot90(picture()))
        turned = done("Rotate", 30, np.full((24, 24, 3), 200, np.uint8))
        assert turned[0, 0].tolist() == [0, 0, 0]
        assert turned[12, 12].tolist() == [200, 200, 200]


def drawn(policy: Policy, number: int = 20_000, magnitude: int | None = None) -> list[Any]:
    draws = np.random.default_rng(3).random((number, policies.NUM_DRAWS))
    return list(policies.operations(policy, magnitude, 224, draws))


class TestPolicies:
    """What is drawn, how often, and how strong."""

    def test_randaugment_draws_two_of_fourteen_operations_of_one_magnitude(self) -> None:
        chosen = drawn("randaugment")
        names = Counter(operation.name for pair in chosen for operation in pair)
        assert {len(pair) for pair in chosen} == {2}
        assert len(names) == 14
        assert max(abs(14 * count / 40_000 - 1) for count in names.values()) < 0.1
        magnitudes = {
            (operation.name, operation.magnitude) for pair in chosen for operation in pair
        }
        expected: dict[str, list[float]] = {
            "Identity": [0], "AutoContrast": [0], "Equalize": [0], "Posterize": [7],
            "ShearX": [0.09, -0.09], "ShearY": [0.09, -0.09], "Rotate": [9, -9],
            "TranslateX": [30.4532, -30.4532], "TranslateY": [30.4532, -30.4532],
            "Brightness": [0.27, -0.27], "Color": [0.27, -0.27], "Contrast": [0.27, -0.27],
            "Sharpness": [0.27, -0.27], "Solarize": [178.5],
        }  # fmt: skip
        rounded = {(name, round(magnitude, 4)) for name, magnitude in magnitudes}
        assert rounded == {(name, each) for name, all_ in expected.items() for each in all_}

    def test_randaugment_grows_with_its_magnitude(self) -> None:
        def of(name: str, magnitude: int) -> set[float]:
            chosen = drawn("randaugment", 2000, magnitude)
            return {abs(one.magnitude) for pair in chosen for one in pair if one.name == name}

        assert [of("Rotate", magnitude) for magnitude in (0, 30)] == [{0.0}, {30.0}]
        assert [of("Posterize", magnitude) for magnitude in (0, 30)] == [{8.0}, {4.0}]
        assert [of("Solarize", magnitude) for magnitude in (0, 30)] == [{255.0}, {0.0}]

    def test_trivialaugment_draws_one_operation_of_any_of_31_magnitudes(self) -> None:
        chosen = [operation for (operation,) in drawn("trivialaugment", 40_000)]
        turns = sorted({one.magnitude for one in chosen if one.name == "Rotate"})
        assert np.allclose(turns, np.linspace(-135, 135, 61))
        shifts = {abs(one.magnitude) for one in chosen if one.name == "TranslateY"}
        assert np.allclose(sorted(shifts), np.linspace(0, 32, 31))
        assert {one.magnitude for one in chosen if one.name == "Posterize"} == {8, 7, 6, 5, 4, 3, 2}
        assert max(one.magnitude for one in chosen if one.name == "Contrast") == 0.99
        signs = [math.copysign(1, one.magnitude) for one in chosen if one.name == "ShearX"]
        assert abs(np.mean(signs)) < 0.1

    def test_autoaugment_does_each_operation_of_a_pair_with_its_probability(self) -> None:
        chosen = Counter(tuple(one.name for one in pair) for pair in drawn("autoaugment", 50_000))
        # Color 0.6 and Contrast 1.0, the fifteenth pair and the twenty-fourth.
        assert chosen["Color", "Contrast"] == pytest.approx(50_000 * 2 / 25 * 0.6, rel=0.1)
        assert chosen["Contrast",] == pytest.approx(50_000 * 2 / 25 * 0.4, rel=0.1)
        assert chosen["Rotate", "Color"] == pytest.approx(50_000 / 25 * (0.8 * 0.4 + 0.8), rel=0.1)

    @pytest.mark.parametrize("policy", POLICIES)
    def test_any_numbers_below_one_are_taken(self, policy: Policy) -> None:
        for draw in (0.0, np.nextafter(1, 0)):
            (chosen,) = policies.operations(policy, 30, 32, np.full((1, policies.NUM_DRAWS), draw))
            for operation in chosen:
                assert done(*operation, picture()).shape == (24, 24, 3)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_stands_between_flip_and_erasing_and_changes_nothing_else(policy: Policy) -> None:
    pixels = png(picture(48, 48))
    draws = np.random.default_rng(5).random((40, NUM_DRAWS))
    plain = TrainTransform(32)
    transform = TrainTransform(32, policy=policy)
    chosen = [one.operations for one in transform.augmentations(draws)]
    changed = 0
    for before, after, steps in zip(
        plain.augmentations(draws), transform.augmentations(draws), chosen
    ):
        expected = Image.fromarray(plain.pixels(pixels, before)[..., ::-1])
        for step in steps:
            expected = step.apply(expected)
        result = transform.pixels(pixels, after)
        assert np.array_equal(result[..., ::-1], np.asarray(expected))
        changed += not np.array_equal(result, plain.pixels(pixels, before))
    assert changed > 20


def torchvision() -> Any:
    reason = "torchvision is not installed"
    return pytest.importorskip("torchvision.transforms.autoaugment", reason=reason)


class TestAgainstTorchvision:
    """The same operations, magnitudes and pixels as torchvision's classes."""

    def test_magnitudes(self) -> None:
        autoaugment = torchvision()
        rand = autoaugment.RandAugment()._augmentation_space(31, (192, 192))
        wide = autoaugment.TrivialAugmentWide()._augmentation_space(31)
        learned = autoaugment.AutoAugment()._augmentation_space(10, (192, 192))
        for theirs, ours in [
            (rand, policies._space(192, 31)),
            (wide, policies._WIDE_SPACE),
            (learned, {**policies._space(192, 10), "Invert": (0.0,) * 10}),
        ]:
            for name, (magnitudes, signed) in theirs.items():
                expected = np.broadcast_to(magnitudes.numpy(), len(ours[name]))
                assert np.allclose(ours[name], expected, rtol=1e-6), name
                assert signed == (name in policies._SIGNED)
        assert list(rand) == list(policies._space(192, 31)) == list(wide)

    def test_pairs(self) -> None:
        autoaugment = torchvision()
        imagenet = autoaugment.AutoAugmentPolicy.IMAGENET
        theirs = autoaugment.AutoAugment()._get_policies(imagenet)
        expected = [tuple((name, p, step or 0) for name, p, step in pair) for pair in theirs]
        assert list(policies._IMAGENET_PAIRS) == expected

    def test_pixels(self) -> None:
        autoaugment = torchvision()
        bilinear = autoaugment.InterpolationMode.BILINEAR
        image = Image.fromarray(picture(48, 48))
        for name, magnitudes in {**policies._WIDE_SPACE, "Invert": (0.0,)}.items():
            for magnitude in {*magnitudes, *(-each for each in magnitudes)}:
                if magnitude < 0 and name not in policies._SIGNED:
                    continue
                theirs = autoaugment._apply_op(image, name, magnitude, bilinear, None)
                ours = Operation(name, magnitude).apply(image)
                apart = np.abs(np.asarray(theirs, np.int64) - np.asarray(ours, np.int64))
                assert apart.max() <= 1, (name, magnitude)
