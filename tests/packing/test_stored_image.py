"""What is stored of an image is the same picture for OpenCV, Pillow and MXNet's record iterator."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import cv2
import mxnet as mx
import numpy as np
import pytest
from PIL import Image

from mobilenet.data.image_header import read_header
from mobilenet.data.record_file import RecordWriter
from mobilenet.errors import DataError
from mobilenet.packing.decoder_warnings import counted
from mobilenet.packing.stored_image import Conversion

HEIGHT, WIDTH = 48, 64
PIXELS = cv2.resize(
    np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8), (WIDTH, HEIGHT)
)
PICTURE = Image.fromarray(PIXELS)
ORIENTATION = 0x0112

DECODES_GIF = cv2.getVersionMajor() >= 5


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation: int, endian: str = "<") -> Image.Exif:
    found = Image.Exif()
    found.endian = endian
    found[0x010F] = "a maker"
    found[ORIENTATION] = orientation
    return found


def ycck() -> bytes:
    """A CMYK JPEG whose Adobe segment says that its inks are coded as YCCK."""
    image = bytearray(saved(PICTURE.convert("CMYK"), "JPEG"))
    image[image.index(b"Adobe") + 11] = 2
    return bytes(image)


def png16(channels: int) -> bytes:
    deep = PIXELS[..., :channels].astype(np.uint16) * 257
    return cv2.imencode(".png", deep)[1].tobytes()


# Suffix, image and oddities of what is stored as it is.
KEPT = {
    "JPEG": (".jpg", saved(PICTURE, "JPEG"), ()),
    "progressive JPEG": (".JPEG", saved(PICTURE, "JPEG", progressive=True), ()),
    "upright JPEG": (".jpg", saved(PICTURE, "JPEG", exif=exif(1)), ()),
    "gray JPEG": (".jpg", saved(PICTURE.convert("L"), "JPEG"), ("grayscale",)),
    "CMYK JPEG": (".jpg", saved(PICTURE.convert("CMYK"), "JPEG"), ("CMYK",)),
    "YCCK JPEG": (".jpg", ycck(), ("YCCK",)),
    "PNG": (".png", saved(PICTURE, "PNG"), ()),
    "PNG named JPEG": (".JPEG", saved(PICTURE, "PNG"), ("PNG named .jpeg",)),
    "JPEG without suffix": ("", saved(PICTURE, "JPEG"), ("JPEG named without a suffix",)),
    "palette PNG": (".png", saved(PICTURE.convert("P"), "PNG"), ()),
    "black and white PNG": (".png", saved(PICTURE.convert("1"), "PNG"), ("grayscale",)),
    "PNG with alpha": (".png", saved(PICTURE.convert("RGBA"), "PNG"), ("alpha",)),
    "gray PNG with alpha": (".png", saved(PICTURE.convert("LA"), "PNG"), ("grayscale", "alpha")),
    "PNG with a clear colour": (
        ".png",
        saved(PICTURE, "PNG", transparency=(0, 0, 0)),
        ("alpha",),
    ),
    "deep PNG": (".png", png16(3), ("16 bits",)),
    "deep gray PNG": (".png", png16(1), ("grayscale", "16 bits")),
}

# Formats that MXNet's own OpenCV does not read, or not in all of their kinds.
ENCODED_ANEW = {
    "WebP": (".webp", saved(PICTURE, "WEBP", quality=95)),
    "BMP": (".bmp", saved(PICTURE, "BMP")),
    "TIFF": (".tiff", saved(PICTURE, "TIFF")),
    "PNM": (".ppm", saved(PICTURE, "PPM")),
    "JPEG 2000": (".jp2", saved(PICTURE, "JPEG2000")),
}


def read_by_opencv(image: bytes) -> np.ndarray:
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(image, np.uint8), flags), cv2.COLOR_BGR2RGB)


def read_by_mxnet(image: bytes, folder: Path) -> np.ndarray:
    """The pixels that MXNet's iterator over record files gives."""
    path = folder / "x.rec"
    with RecordWriter(path, path.with_suffix(".idx")) as writer:
        writer.write(0, 0, image)
    iterator = mx.io.ImageRecordIter(
        path_imgrec=str(path), data_shape=(3, HEIGHT, WIDTH), batch_size=1, verbose=False
    )
    return iterator.next().data[0].asnumpy()[0].transpose(1, 2, 0)


@pytest.mark.parametrize("kind", KEPT)
def test_kept_images_are_read_alike_by_all(kind: str, tmp_path: Path) -> None:
    suffix, image, oddities = KEPT[kind]
    stored = Conversion()(f"c/x{suffix}", image)
    assert stored.image == image
    assert stored.oddities == oddities
    ours = read_by_opencv(stored.image)
    assert ours.shape == (HEIGHT, WIDTH, 3)
    # Their libjpegs round the conversion of inks differently by a grey level.
    assert np.abs(read_by_mxnet(stored.image, tmp_path) - ours).max() <= 1


@pytest.mark.parametrize("kind", ENCODED_ANEW)
def test_other_formats_become_jpeg(kind: str, tmp_path: Path) -> None:
    suffix, image = ENCODED_ANEW[kind]
    stored = Conversion()(f"c/x{suffix}", image)
    assert read_header(image).format == kind
    assert read_header(stored.image).format == "JPEG"
    assert stored.oddities == (f"{kind} encoded anew as JPEG",)
    ours = read_by_opencv(stored.image)
    assert np.abs(ours.astype(int) - PIXELS).mean() < 4
    assert np.array_equal(read_by_mxnet(stored.image, tmp_path), ours)


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_no_reader_turns_what_is_stored(orientation: int, endian: str, tmp_path: Path) -> None:
    image = saved(PICTURE, "JPEG", exif=exif(orientation, endian))
    stored = Conversion()("c/x.jpg", image)
    assert stored.oddities == ("EXIF rotation",)
    assert sum(a != b for a, b in zip(image, stored.image)) == 1
    assert Image.open(io.BytesIO(stored.image)).getexif()[ORIENTATION] == 1
    as_stored = read_by_opencv(image)
    assert np.array_equal(read_by_opencv(stored.image), as_stored)
    assert np.array_equal(read_by_mxnet(stored.image, tmp_path), as_stored)
    turning = cv2.imdecode(np.frombuffer(stored.image, np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(turning[..., ::-1], as_stored)


def test_mxnet_would_turn_what_is_not_changed(tmp_path: Path) -> None:
    """Why the note about the orientation is changed at all."""
    image = saved(PICTURE, "JPEG", exif=exif(3))
    assert np.array_equal(read_by_mxnet(image, tmp_path), read_by_opencv(image)[::-1, ::-1])


@pytest.mark.parametrize("kind", KEPT)
def test_smaller_images_are_the_mean_of_the_area(kind: str) -> None:
    suffix, image, oddities = KEPT[kind]
    stored = Conversion(short_side=24, quality=100)(f"c/x{suffix}", image)
    assert stored.oddities == oddities
    ours = read_by_opencv(stored.image)
    blocks = read_by_opencv(image).reshape(24, 2, 32, 2, 3).mean(axis=(1, 3))
    assert ours.shape == (24, 32, 3)
    # JPEG keeps half of the colours' resolution, but all of the luma's.
    luma = np.array([0.299, 0.587, 0.114])
    assert np.abs(ours @ luma - blocks @ luma).mean() < 1


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((500, 375), (341, 256)),
        ((375, 500), (256, 341)),
        ((300, 256), (300, 256)),
        ((9, 7), (9, 7)),
    ],
)
def test_sizes(size: tuple[int, int], expected: tuple[int, int]) -> None:
    image = saved(PICTURE.resize(size), "JPEG")
    stored = Conversion(short_side=256)("c/x.jpg", image)
    assert Image.open(io.BytesIO(stored.image)).size == expected
    assert (stored.image == image) == (size == expected)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html>", "is no image in a known format .it begins with b'<!DOCTYP'"),
        (saved(PICTURE, "JPEG")[:-2], "is a JPEG that OpenCV does not decode, or damaged"),
        (saved(PICTURE, "JPEG")[:500], "is a JPEG that OpenCV does not decode, or damaged"),
        (saved(PICTURE, "PNG")[:-80], "is a PNG that OpenCV does not decode, or damaged"),
        pytest.param(
            saved(PICTURE, "GIF"),
            "is a GIF that OpenCV does not decode",
            marks=pytest.mark.skipif(DECODES_GIF, reason="OpenCV 5 does decode it"),
        ),
        (b"\xff\xd8\xff\xe0", "is a JPEG that OpenCV does not decode"),
    ],
)
@pytest.mark.parametrize("short_side", [None, 24])
def test_what_does_not_decode(image: bytes, message: str, short_side: Any) -> None:
    with counted(), pytest.raises(DataError, match=message):
        Conversion(short_side)("c/x.jpg", image)


@pytest.mark.skipif(not DECODES_GIF, reason="OpenCV 4 does not decode it")
def test_a_gif_becomes_a_jpeg() -> None:
    stored = Conversion()("c/x.gif", saved(PICTURE, "GIF"))
    assert stored.oddities == ("GIF encoded anew as JPEG",)
    assert Image.open(io.BytesIO(stored.image)).format == "JPEG"


@pytest.mark.parametrize(("kind", "short_side"), [("BMP", None), ("PNG", 1)])
def test_what_is_too_long_for_a_jpeg(kind: str, short_side: Any) -> None:
    image = saved(PICTURE.resize((140_000, 2)), kind)
    with pytest.raises(DataError, match=r"would become a JPEG of \d+ x \d pixels"):
        Conversion(short_side)("c/x", image)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 3), (7, 8)])
def test_tiny_images_are_images(kind: str, size: tuple[int, int]) -> None:
    image = saved(PICTURE.resize(size), kind)
    assert Conversion()(f"c/x.{kind.lower()}", image) == (image, ())


def test_the_quick_check_refuses_what_the_reader_refuses() -> None:
    """The check decodes an eighth of the size; what a reader cannot decode must not pass it."""
    rng = np.random.default_rng(3)
    images = [saved(PICTURE, "JPEG", progressive=kind) for kind in (True, False)]
    images.append(saved(PICTURE, "PNG"))
    num_refused = 0
    with counted():
        for trial in range(240):
            image = bytearray(images[trial % 3])
            for position in rng.integers(len(image), size=1 + trial % 9):
                image[position] = rng.integers(256)
            array = np.frombuffer(bytes(image), np.uint8)
            try:
                Conversion()("c/x.jpg", bytes(image))
                is_refused = False
            except DataError:
                is_refused = True
            assert is_refused == (cv2.imdecode(array, cv2.IMREAD_COLOR) is None)
            num_refused += is_refused
    assert 40 < num_refused < 200


def test_headers_of_anything_are_read_without_complaint() -> None:
    rng = np.random.default_rng(4)
    images = [image for _, image, _ in KEPT.values()] + [saved(PICTURE, "JPEG", exif=exif(6))]
    for trial in range(2000):
        image = bytearray(images[trial % len(images)])
        del image[rng.integers(len(image) + 1) :]
        for position in rng.integers(max(len(image), 1), size=3):
            image[position : position + 1] = bytes([rng.integers(256)])
        found = read_header(bytes(image))
        assert all(place.position + 2 <= len(image) for place in found.orientations)


def test_complaints_are_counted_and_all_else_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    image = saved(PICTURE, "JPEG")
    with counted() as complaints:
        for length in (20, 30, 30):
            sys.stderr.write(f"shown, and {length}\n")
            cv2.imdecode(np.frombuffer(image[:-2] + b"x" * length + image[-2:], np.uint8), 1)
    assert complaints == {"Corrupt JPEG data: N extraneous bytes before marker 0xd9": 3}
    assert capfd.readouterr().err == "shown, and 20\nshown, and 30\nshown, and 30\n"
    cv2.imdecode(np.frombuffer(image[:-2] + b"x" * 30 + image[-2:], np.uint8), 1)
    assert "extraneous bytes" in capfd.readouterr().err  # as always again


def test_an_orientation_that_is_applied_stays_or_is_carried_out(tmp_path: Path) -> None:
    image = saved(PICTURE, "JPEG", exif=exif(6), quality=95)
    conversion = Conversion(exif_orientation="apply")
    stored = conversion("c/x.jpg", image)
    assert stored == (image, ("EXIF rotation",))
    smaller = Conversion(HEIGHT // 2, exif_orientation="apply")("c/x.jpg", image).image
    assert not read_header(smaller).orientations
    assert read_by_opencv(smaller).shape == (WIDTH // 2, HEIGHT // 2, 3)
    stored_as_it_is = Conversion(HEIGHT // 2)("c/x.jpg", image).image
    assert read_by_opencv(stored_as_it_is).shape == (HEIGHT // 2, WIDTH // 2, 3)


def test_avif_becomes_jpeg(tmp_path: Path) -> None:
    stored = Conversion()("c/x.avif", saved(PICTURE, "AVIF", quality=95))
    assert stored.oddities == ("AVIF encoded anew as JPEG",)
    assert np.abs(read_by_opencv(stored.image).astype(int) - PIXELS).mean() < 6
