"""Crafted images: no signal, no traceback, no more than 1 GB and not minutes."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from crafted_images import is_frame, segments
from crafting import assert_read_or_refused
from pictures import encoded, photograph
from PIL import Image

from mobilenet.data.image_decoding import decode, obstacle
from mobilenet.data.image_header import read_header
from mobilenet.errors import DataError
from mobilenet.packing.stored_image import Conversion


@pytest.mark.parametrize(
    ("count", "seed"), [(30, 0), pytest.param(1000, 1, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("kind", ["jpeg", "image"])
def test_crafted_files_are_read_or_refused(
    tmp_path: Path, kind: str, count: int, seed: int
) -> None:
    assert_read_or_refused("crafted_images", tmp_path, kind, count, seed)


def resized(image: bytes, height: int, width: int) -> bytes:
    """The JPEG with another size in its header."""
    parts = segments(image)
    for i, part in enumerate(parts):
        if is_frame(part):
            parts[i] = part[:5] + struct.pack(">HH", height, width) + part[9:]
    return b"".join(parts)


PHOTO = Image.fromarray(photograph(48, 64))
FINE = encoded(PHOTO, "JPEG", progressive=True, subsampling=0)
COARSE = encoded(PHOTO, "JPEG", progressive=True)
TOO_MANY = "it is a JPEG of [0-9,]+ scans, which would take too much memory or time"


@pytest.mark.parametrize("image", [FINE, encoded(PHOTO.convert("CMYK"), "JPEG", progressive=True)])
def test_many_coefficients_that_are_kept_until_the_last_scan(image: bytes) -> None:
    """They took 1.2 and 1.5 GB."""
    large = resized(image, 11_585, 11_585)
    with pytest.raises(DataError, match=TOO_MANY):
        decode(large)
    with pytest.raises(DataError, match=TOO_MANY):
        Conversion()("a.jpg", large)


@pytest.mark.parametrize("garbage", [b"", b"\0\0\0", b"\xff\0"])
def test_many_scans_of_a_large_image(garbage: bytes) -> None:
    """Each of them takes time for all of the image; what is no marker hides none."""
    parts = segments(resized(COARSE, 8000, 8000))
    scans = [part for part in parts if part[1] == 0xDA]
    image = b"".join([*parts[:2], garbage, *parts[2:-1], *scans * 500, parts[-1]])
    with pytest.raises(DataError, match="it is a JPEG of 5,010 scans"):
        decode(image)


def test_scans_as_photographs_have_them() -> None:
    """Those of a progressive photograph of 100 megapixels are few enough."""
    header = read_header(resized(COARSE, 10_000, 10_000))
    assert (header.num_scans, header.num_kept) == (10, 150_000_000)
    assert not obstacle(header)
    assert read_header(resized(encoded(PHOTO, "JPEG"), 11_000, 11_000)).num_scans == 1
    np.testing.assert_array_equal(decode(COARSE).shape, (48, 64, 3))


def test_components_in_scans_of_their_own() -> None:
    """A JPEG that is not progressive may have several scans as well."""
    parts = segments(encoded(PHOTO, "JPEG"))
    alone = [part[:4] + b"\1" + part[5:7] + part[11:] for part in parts if part[1] == 0xDA]
    image = b"".join([*parts[:-2], *alone * 3, parts[-1]])
    assert read_header(image).num_scans == 3
