"""What is read of an image's header, byte for byte."""

from __future__ import annotations

import struct
from typing import Sequence

import pytest

from mobilenet.data.image_header import EXIF_ROTATION, read_header


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 255, marker, len(content) + 2) + content


def frame(num_components: int, height: int = 0x102, width: int = 0x304) -> bytes:
    components = b"".join(bytes([number, 0x11, 0]) for number in range(num_components))
    return segment(0xC0, struct.pack(">BHHB", 8, height, width, num_components) + components)


def exif(orientation: int, name: bytes = b"Exif\0\0") -> bytes:
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    return segment(0xE1, name + b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4))


def adobe(transform: int, more: bytes = b"") -> bytes:
    return segment(0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, transform) + more)


def jpeg(*segments: bytes) -> bytes:
    return b"\xff\xd8" + b"".join(segments) + segment(0xDA, b"\3") + b"\xff\xd9"


@pytest.mark.parametrize(
    ("segments", "oddity"),
    [
        ([frame(4)], "CMYK"),
        ([adobe(0), frame(4)], "CMYK"),
        ([adobe(2), frame(4)], "YCCK"),
        ([adobe(2, b"more"), frame(4)], "YCCK"),
        ([frame(4), segment(0xEE, b"Adobe\2\2\2\2\2\2")], "CMYK"),  # too short to say it
        ([segment(0xEE, b"other" + b"\2" * 7), frame(4)], "CMYK"),
        ([frame(1)], "grayscale"),
    ],
)
def test_colours_of_a_jpeg(segments: Sequence[bytes], oddity: str) -> None:
    assert read_header(jpeg(*segments)).oddities == (oddity,)


@pytest.mark.parametrize("before", [b"", b"\xff", b"\xff\x01", b"\xff\xd0", b"\xff\xd7", b"\xff\0"])
def test_size_of_a_jpeg(before: bytes) -> None:
    """Also after bytes and markers that say nothing."""
    assert read_header(jpeg(segment(0xFE, b"text"), before, frame(3))).size == (0x304, 0x102)


@pytest.mark.parametrize("orientation", range(11))
def test_orientations_that_turn(orientation: int) -> None:
    header = read_header(jpeg(exif(orientation), frame(3)))
    assert (EXIF_ROTATION in header.oddities) == (2 <= orientation <= 8)
    assert len(header.orientations) == (2 <= orientation <= 8)


def test_other_segments_are_no_exif() -> None:
    """Programs write XMP under the same marker, and EXIF under another one means nothing."""
    other = exif(6, b"http\0\0")
    named = exif(6)[:1] + b"\xe2" + exif(6)[2:]
    assert not read_header(jpeg(other, named, frame(3))).orientations
