"""Decoding, normalisation and validation preprocessing against NumPy, PIL and MXNet."""

from __future__ import annotations

import contextlib
import io
import resource
import struct
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Iterator

import cv2
import mxnet as mx
import numpy as np
import numpy.typing as npt
import pytest
from mxnet.gluon.data.vision import transforms
from pictures import Array, bilinear, encoded, photograph, png
from PIL import Image

from mobilenet.data.eval_transforms import (
    IMAGENET,
    PREPROCESSINGS,
    TENSORFLOW,
    EvalTransform,
    Normalization,
    planes,
)
from mobilenet.data.image_decoding import decode
from mobilenet.errors import ConfigError, DataError
from mobilenet.settings.schema import Config


def normalised(pixels: npt.NDArray[np.floating], statistics: Normalization) -> npt.NDArray:
    return ((pixels / 255 - statistics.mean) / statistics.std).transpose(2, 0, 1)


class TestDecode:
    def test_gives_red_green_blue(self) -> None:
        pixels = photograph(7, 5)
        np.testing.assert_array_equal(decode(png(pixels)), pixels)

    def test_takes_a_view_of_bytes(self) -> None:
        image = png(photograph(7, 5))
        view = memoryview(b"head" + image)[4:]
        np.testing.assert_array_equal(decode(view), decode(image))

    @pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1"])
    def test_takes_other_kinds_of_png(self, mode: str) -> None:
        image = Image.fromarray(photograph(20, 30)).convert(mode)
        np.testing.assert_array_equal(decode(encoded(image, "PNG")), image.convert("RGB"))

    @pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
    def test_takes_every_kind_of_jpeg(self, mode: str) -> None:
        image = encoded(Image.fromarray(photograph(40, 56)).convert(mode), "JPEG", quality=95)
        expected = np.asarray(Image.open(io.BytesIO(image)).convert("RGB"), np.int64)
        # Two decoders round chrominance and ink differently by a level or two.
        assert np.abs(decode(image) - expected).max() <= 3

    def test_takes_16_bits(self) -> None:
        wide = (np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000)[..., None].repeat(3, axis=2)
        image = cv2.imencode(".png", wide)[1].tobytes()
        np.testing.assert_array_equal(decode(image), wide >> 8)

    def test_leaves_orientation_to_viewers(self) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6  # to be shown turned by 90 degrees
        image = encoded(Image.fromarray(photograph(20, 30)), "JPEG", exif=exif)
        assert decode(image).shape == (20, 30, 3)

    @pytest.mark.parametrize("image", [b"", b"\x00", b"no image at all" * 50, b"\xff\xd8\xff"])
    def test_refuses_what_is_no_image(self, image: bytes) -> None:
        with pytest.raises(DataError, match="the image cannot be decoded"):
            decode(image)

    def test_says_what_is_empty(self) -> None:
        with pytest.raises(DataError, match="the image cannot be decoded: it is empty"):
            decode(b"")

    def test_refuses_a_damaged_head(self) -> None:
        image = bytearray(encoded(Image.fromarray(photograph(40, 56)), "JPEG"))
        image[:100] = bytes(100)
        with pytest.raises(DataError, match="damaged"):
            decode(bytes(image))


class TestNormalization:
    @pytest.mark.parametrize("statistics", [IMAGENET, TENSORFLOW])
    def test_every_value_of_every_channel(self, statistics: Normalization) -> None:
        values = np.arange(256, dtype=np.uint8).reshape(16, 16)
        result = statistics(np.stack([values, values[::-1].copy(), values.T.copy()]))
        pixels = np.stack([values, values[::-1], values.T], axis=-1)
        assert result.dtype == np.float32
        np.testing.assert_array_equal(result, normalised(pixels, statistics).astype(np.float32))

    def test_batches_of_any_shape(self) -> None:
        images = np.random.default_rng(0).integers(0, 256, (2, 5, 3, 4, 6), dtype=np.uint8)
        results = IMAGENET(images)
        for index in np.ndindex(2, 5):
            np.testing.assert_array_equal(results[index], IMAGENET(images[index]))

    def test_pixels_into_part_of_a_batch(self) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)
        batch = np.zeros((4, 3, 4, 6), np.float32)
        IMAGENET.of_bgr(pixels, batch[1:3])
        assert not batch[[0, 3]].any()
        expected = IMAGENET(np.ascontiguousarray(pixels[..., ::-1].transpose(0, 3, 1, 2)))
        np.testing.assert_array_equal(batch[1:3], expected)

    def test_tensorflow_is_minus_one_to_one(self) -> None:
        ends = np.array([0, 255], np.uint8).reshape(1, 2)[None].repeat(3, axis=0)
        assert TENSORFLOW(ends).tolist() == [[[-1, 1]]] * 3


def test_what_no_memory_holds_is_told() -> None:
    image = png(photograph(40, 40))
    with pytest.raises(DataError, match="not enough memory to give its 40 x 40 pixels a short"):
        EvalTransform("center-crop", 224, 10_000_000)(image)  # more bytes than addresses


@contextlib.contextmanager
def memory_for(num_bytes: int) -> Iterator[None]:
    """Lets this process take no more than so many bytes besides those that it has."""
    num_pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    limit = num_pages * resource.getpagesize() + num_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


ASPECT_KEEPING = [name for name in PREPROCESSINGS if not name.startswith("squash")]


@pytest.mark.parametrize("name", ASPECT_KEEPING)
@pytest.mark.parametrize("is_high", [False, True])
def test_of_a_thin_image_only_what_is_shown_is_resized(name: str, is_high: bool) -> None:
    """A ramp of 1 x 65,500 pixels, which would become 12.9 GB: the crop shows its middle."""
    ramp = (np.arange(65_500) - 65_500 // 2 + 128).clip(0, 255).astype(np.uint8)
    pixels = np.broadcast_to(ramp[None, :, None], (1, 65_500, 3))
    image = png(np.ascontiguousarray(pixels.swapaxes(0, 1) if is_high else pixels))
    transform = EvalTransform(name)
    with memory_for(200_000_000):
        result = transform.pixels(image)
    assert result.shape == (224, 224, 3)
    line = (result[:, 100] if is_high else result[100]).astype(int)
    assert len(np.unique(line)) <= 3
    assert abs(line - 128).max() <= 1


def resized_as_before(name: str, pixels: np.ndarray, short_side: int) -> np.ndarray:
    """All of the image, as every image was resized before thin ones were cut."""
    height, width = pixels.shape[:2]
    size = (width * short_side // min(height, width), height * short_side // min(height, width))
    if "pil" in name:
        resampling = "BICUBIC" if "cubic" in name else "BILINEAR"
        return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling[resampling]))
    kind = {"center-crop-area": cv2.INTER_AREA, "center-crop-cubic": cv2.INTER_CUBIC}
    return cv2.resize(pixels, size, interpolation=kind.get(name, cv2.INTER_LINEAR))


@pytest.mark.parametrize("name", [name for name in ASPECT_KEEPING if name.startswith("center")])
@pytest.mark.parametrize("size", [(375, 500), (500, 333), (64, 1024), (2800, 11), (20, 5000)])
def test_ordinary_images_are_resized_as_a_whole(name: str, size: tuple[int, int]) -> None:
    """Up to 250 times as wide as high, at the usual short side, no bit is another one."""
    pixels = photograph(*size)
    resized = resized_as_before(name, pixels[..., ::-1], 256)
    top, left = ((side - 224) // 2 for side in resized.shape[:2])
    expected = resized[top : top + 224, left : left + 224]
    np.testing.assert_array_equal(EvalTransform(name).pixels(png(pixels)), expected)


def test_too_many_pixels_are_refused_from_the_header() -> None:
    """A PNG of 20,000 x 20,000 pixels, whose header is all that is read."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    image = b"\x89PNG\r\n\x1a\n" + chunk + png(photograph(8, 8))[33:]
    with pytest.raises(DataError, match="it has more than 134,217,728 pixels; OPENCV_IO_MAX"):
        EvalTransform()(image)


def test_it_is_the_default_of_the_configuration() -> None:
    data = Config().data
    assert Normalization(data.mean, data.std) == IMAGENET


def test_planes() -> None:
    pixels = photograph(6, 9)
    np.testing.assert_array_equal(planes(pixels), pixels.transpose(2, 0, 1))
    np.testing.assert_array_equal(planes(pixels[1:5, 2:8]), pixels[1:5, 2:8].transpose(2, 0, 1))


class TestResizing:
    @pytest.mark.parametrize(("height", "width"), [(60, 41), (17, 90), (33, 33), (256, 130)])
    @pytest.mark.parametrize("name", ["center-crop", "squash", "squash-256"])
    def test_is_bilinear_at_pixel_centres(self, name: str, height: int, width: int) -> None:
        pixels = photograph(height, width)
        resized = PREPROCESSINGS[name].resize(pixels, 64)
        expected = bilinear(pixels, *resized.shape[:2])
        assert np.abs(resized - expected).max() <= 1  # OpenCV computes in fixed point

    @pytest.mark.parametrize("short_side", [73, 224, 256, 257])
    def test_keeps_aspect_with_the_long_side_cut(self, short_side: int) -> None:
        generator = np.random.default_rng(short_side)
        for height, width in generator.integers(4, 900, (40, 2)).tolist():
            resized = PREPROCESSINGS["center-crop"].resize(
                np.zeros((height, width, 3), np.uint8), short_side
            )
            ratio = Fraction(short_side, min(height, width))
            assert resized.shape[:2] == (int(height * ratio), int(width * ratio))
            assert min(resized.shape[:2]) == short_side

    @pytest.mark.parametrize("filter_name", ["bilinear", "bicubic"])
    @pytest.mark.parametrize(("height", "width"), [(300, 200), (90, 333)])
    def test_pil_is_pils(self, filter_name: str, height: int, width: int) -> None:
        pixels = photograph(height, width)
        name = {"bilinear": "center-crop-pil", "bicubic": "center-crop-pil-cubic"}[filter_name]
        resized = PREPROCESSINGS[name].resize(pixels, 64)
        size = (width * 64 // min(height, width), height * 64 // min(height, width))
        expected = Image.fromarray(pixels).resize(size, Image.Resampling[filter_name.upper()])
        np.testing.assert_array_equal(resized, np.asarray(expected))

    def test_area_is_the_mean_where_it_divides(self) -> None:
        pixels = photograph(128, 256)
        resized = PREPROCESSINGS["center-crop-area"].resize(pixels, 32)
        expected = pixels.reshape(32, 4, 64, 4, 3).mean(axis=(1, 3))
        assert np.abs(resized - expected).max() <= 0.5

    def test_every_interpolation_is_another(self) -> None:
        results = {
            PREPROCESSINGS[name].resize(photograph(300, 300), 64).tobytes()
            for name in PREPROCESSINGS
            if name.startswith("center-crop")
        }
        assert len(results) == 5

    @pytest.mark.parametrize(("height", "width"), [(500, 333), (20, 70), (256, 256), (300, 299)])
    def test_squash_is_square(self, height: int, width: int) -> None:
        pixels = photograph(height, width)
        assert PREPROCESSINGS["squash-224"].resize(pixels, 224).shape == (224, 224, 3)


def origin_preprocess(pixels: Array) -> npt.NDArray[np.float32]:
    """What the origin's `imagenet_preprocess.preprocess` computes, step by step."""
    image = Image.fromarray(pixels)
    ratio = 256.0 / min(image.size)
    width, height = image.size
    wide, high = (round(ratio * width), 256), (256, round(ratio * height))
    size = wide if width > height else high
    values = np.array(image.resize(size, Image.Resampling.BILINEAR))
    top, left = values.shape[0] // 2 - 112, values.shape[1] // 2 - 112
    values = values[top : top + 224, left : left + 224].transpose(2, 0, 1).astype("float32")
    for channel in range(3):
        mean, std = (0.485, 0.456, 0.406)[channel], (0.229, 0.224, 0.225)[channel]
        values[channel] = (values[channel] / 255 - mean) / std
    return values


class TestEvalTransform:
    @pytest.mark.parametrize(("height", "width"), [(300, 280), (280, 301), (260, 259)])
    def test_crop_is_central(self, height: int, width: int) -> None:
        pixels = photograph(height, width)
        transform = EvalTransform("center-crop", 224, min(height, width))
        top, left = (height - 224) // 2, (width - 224) // 2
        crop = pixels[top : top + 224, left : left + 224]
        expected = normalised(crop, IMAGENET).astype(np.float32)
        np.testing.assert_array_equal(transform(png(pixels)), expected)

    @pytest.mark.parametrize("name", PREPROCESSINGS)
    def test_planes_come_before_normalisation(self, name: str) -> None:
        transform = EvalTransform(name, normalization=TENSORFLOW)
        image = png(photograph(230, 400))
        assert transform.planes(image).shape == (3, 224, 224)
        expected = transform.pixels(image)[..., ::-1].transpose(2, 0, 1)
        np.testing.assert_array_equal(transform.planes(image), expected)
        np.testing.assert_array_equal(transform(image), TENSORFLOW(transform.planes(image)))

    @pytest.mark.parametrize(
        ("height", "width"), [(375, 500), (500, 375), (333, 500), (400, 401), (90, 97), (256, 256)]
    )
    def test_imagenet_preprocess_is_the_origins(self, height: int, width: int) -> None:
        pixels = photograph(height, width)
        result = EvalTransform("imagenet-preprocess")(png(pixels))
        np.testing.assert_allclose(result, origin_preprocess(pixels), rtol=0, atol=1e-6)

    @pytest.mark.parametrize(("height", "width"), [(375, 500), (500, 333), (120, 300)])
    @pytest.mark.parametrize("side", [256, 224])
    def test_squash_is_that_of_the_notebooks(self, side: int, height: int, width: int) -> None:
        pixels = photograph(height, width)
        steps = [transforms.Resize(side), transforms.CenterCrop(224), transforms.ToTensor()]
        steps.append(transforms.Normalize(IMAGENET.mean, IMAGENET.std))
        expected = mx.nd.array(pixels, dtype="uint8")
        for step in steps:
            expected = step(expected)
        result = EvalTransform(f"squash-{side}")(png(pixels))
        # MXNet brings another OpenCV; a grey level is 0.0175 of a normalised unit.
        assert np.abs(result - expected.asnumpy()).max() < 0.0176

    @pytest.mark.parametrize(
        ("resolution", "short_side"),
        [(64, 74), (96, 110), (128, 147), (160, 183), (192, 220), (224, 256), (225, 258)],
    )
    def test_default_short_side(self, resolution: int, short_side: int) -> None:
        assert EvalTransform(resolution=resolution).short_side == short_side

    def test_is_a_value(self) -> None:
        assert EvalTransform() == EvalTransform("center-crop", 224, 256)
        assert EvalTransform("squash-224").short_side == 224

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("centre", 224, 0), "no preprocessing 'centre', but center-crop, center-crop-area,"),
            (("center-crop", 224, 200), "short side 200 has no room for a crop of 224"),
            (("squash-224", 256, 0), "short side 224 has no room for a crop of 256"),
            (("squash-256", 224, 288), "'squash-256' has the short side 256, not 288"),
        ],
    )
    def test_refuses(self, arguments: tuple[str, int, int], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            EvalTransform(*arguments)


@pytest.mark.shared_data
def test_decodes_photographs_as_pil_does(shared: Path) -> None:
    paths = sorted((shared / "data/imagenet-sample/images").glob("*/*.JPEG"))[::30]
    assert len(paths) == 10
    for path in paths:
        expected = np.asarray(Image.open(path).convert("RGB"), np.int64)
        assert np.abs(decode(path.read_bytes()) - expected).mean() < 0.5
