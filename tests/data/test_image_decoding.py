"""Formats, orientations and sizes of images, and what cannot be decoded here."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from pictures import encoded, photograph
from PIL import Image, features

from mobilenet.data.eval_transforms import EvalTransform
from mobilenet.data.image_decoding import decode, decode_bgr
from mobilenet.data.image_header import SUFFIXES, read_header
from mobilenet.data.training_augmentation import NUM_DRAWS, TrainTransform
from mobilenet.errors import DataError

HEIGHT, WIDTH = 64, 96
PIXELS = photograph(HEIGHT, WIDTH)
PICTURE = Image.fromarray(PIXELS)
# How the stored pixels are turned upright, by orientation (Exif 2.3, section 4.6.4).
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


def photo(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(PICTURE, "JPEG", exif=exif, quality=95)


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_orientations(orientation: int) -> None:
    image = photo(orientation)
    stored = decode(photo(1))
    np.testing.assert_array_equal(decode(image), stored)
    upright = UPRIGHT[orientation](stored)
    np.testing.assert_array_equal(decode(image, "apply"), upright)
    np.testing.assert_array_equal(decode_bgr(image, "apply"), upright[..., ::-1])


def test_transforms_apply_it_before_all_else() -> None:
    """An image that is stored turned is prepared as the same image stored upright."""
    turned = photo(6)
    expected = encoded(Image.fromarray(decode(turned, "apply")), "PNG")
    ignored = EvalTransform(resolution=32)
    applied = EvalTransform(resolution=32, exif_orientation="apply")
    np.testing.assert_array_equal(applied(turned), ignored(expected))
    assert np.abs(applied(turned) - ignored(turned)).max() > 0.5
    draws = np.full((1, NUM_DRAWS), 0.4)
    for transform in (TrainTransform(32, exif_orientation="apply"), TrainTransform(32)):
        (augmentation,) = transform.augmentations(draws)
        is_applied = transform.exif_orientation == "apply"
        found = transform.pixels(turned, augmentation)
        wanted = transform.pixels(expected, augmentation)
        assert np.array_equal(found, wanted) == is_applied


def test_avif() -> None:
    image = encoded(PICTURE, "AVIF", quality=90)
    assert read_header(image).format == "AVIF"
    assert np.abs(decode(image).astype(int) - PIXELS).mean() < 8
    assert np.abs(decode_bgr(image)[..., ::-1].astype(int) - PIXELS).mean() < 8
    with pytest.raises(DataError, match="the image cannot be decoded: "):
        decode(image[:100])


def test_heic() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    image = encoded(PICTURE, "HEIF", quality=90)
    assert read_header(image).format == "HEIC"
    assert np.abs(decode(image).astype(int) - PIXELS).mean() < 8


@pytest.mark.parametrize(
    ("brands", "absent", "package"),
    [
        (b"heic\0\0\0\0mif1heic", "pillow_heif", "pillow-heif"),
        (b"mif1\0\0\0\0heic", "pillow_heif", "pillow-heif"),
        (b"mif1\0\0\0\0avif", "PIL", r"pillow>=11\.3"),
    ],
)
def test_a_package_that_is_missing_is_named(
    brands: bytes, absent: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, absent, None)  # as where it is not installed
    image = (8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands + bytes(100)
    with pytest.raises(DataError, match=f"which needs a package: pip install '{package}'"):
        decode(image)


def test_films_are_no_images() -> None:
    assert read_header(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(50)).format is None


def test_names_of_jpeg() -> None:
    assert {".jfif", ".jpe", ".jpg", ".jpeg"} == set(SUFFIXES["JPEG"])


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_of_too_many_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCV_IO_MAX_IMAGE_PIXELS", str(HEIGHT * WIDTH))
    image = encoded(PICTURE, "AVIF", quality=90)
    assert decode(image).shape == PIXELS.shape
    monkeypatch.setenv("OPENCV_IO_MAX_IMAGE_PIXELS", str(HEIGHT * WIDTH - 1))
    with pytest.raises(DataError, match="it has more than 6,143 pixels"):
        decode(image)
