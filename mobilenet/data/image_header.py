"""Reads the header of an encoded image, without decoding it.

Sources: ITU-T T.81 annex B (JPEG markers), Adobe Technical Note 5116 (the APP14 segment), Exif 2.3
section 4.5 (orientation), PNG specification chapter 11, ISO/IEC 23008-12 annex B (brands of HEIC)
and AV1 Image File Format, section 6 (of AVIF).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Iterator, Literal, NamedTuple, Optional

SUFFIXES: dict[str, tuple[str, ...]] = {
    "JPEG": (".jfif", ".jpe", ".jpeg", ".jpg"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "WebP": (".webp",),
    "PNM": (".pbm", ".pgm", ".ppm"),
    "JPEG 2000": (".jp2",),
    "HEIC": (".heic", ".heif"),
    "AVIF": (".avif",),
}
"""Names of formats, and how the names of their files end."""

EXIF_ROTATION = "EXIF rotation"
"""The oddity of an image with an EXIF orientation."""

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    *((b"P%d" % number, "PNM") for number in range(1, 7)),
)

# Brands of ISO base media files, the first of which is followed by a version and the others.
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF"} | dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIC"
)

_APP1, _APP14, _SCAN, _END = 0xE1, 0xEE, 0xDA, 0xD9
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # the markers named SOF
_PROGRESSIVE_FRAMES = {0xC2, 0xC6, 0xCA, 0xCE}
_WITHOUT_LENGTH = {0x00, 0x01, *range(0xD0, 0xD8)}

_ORIENTATION = 0x0112
_ROTATED = range(2, 9)
_ByteOrder = Literal["big", "little"]


class Orientation(NamedTuple):
    """Where an image states its orientation: 2 bytes at `position`."""

    position: int
    upright: bytes  # these bytes in an image that is upright


@dataclass(frozen=True)
class Header:
    """The facts in the header of an encoded image.

    Attributes:
        format: A key of `SUFFIXES`, or None for another format.
        size: Width and height in pixels, if a JPEG or PNG states them.
        oddities: What is unusual for a photograph, as text.
        orientations: All places that state an orientation other than upright.
        num_scans: Number of scans of a JPEG that has several, such as a progressive one; else 1.
        num_kept: Number of coefficients that a decoder keeps in memory until the last of several
            scans.
    """

    format: Optional[str]
    size: Optional[tuple[int, int]] = None
    oddities: tuple[str, ...] = ()
    orientations: tuple[Orientation, ...] = ()
    num_scans: int = 1
    num_kept: int = 0


def read_header(image: bytes) -> Header:
    """Reads the header of an encoded image; never raises, whatever the bytes are."""
    name = next((name for start, name in _SIGNATURES if image.startswith(start)), None)
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        name = "WebP"
    if image[4:8] == b"ftyp":
        name = _of_brands(image)
    if name == "JPEG":
        return _jpeg(image)
    if name == "PNG":
        size = (_number(image, 16, 4), _number(image, 20, 4)) if len(image) >= 24 else None
        return Header(name, size, tuple(_png_oddities(image)))
    return Header(name)


def _of_brands(image: bytes) -> Optional[str]:
    """The format of an ISO base media file; one may say first that it is an image of some kind."""
    brands = image[8 : min(_number(image, 0, 4), 64)]
    names = [_BRANDS.get(brands[i : i + 4]) for i in range(0, len(brands), 4)]
    return "AVIF" if "AVIF" in names else next(filter(None, names), None)


def turned_upright(image: bytes, orientations: tuple[Orientation, ...]) -> bytes:
    """The image with its orientation set to upright; the stored pixels are unchanged."""
    changed = bytearray(image)
    for position, upright in orientations:
        changed[position : position + 2] = upright
    return bytes(changed)


def _jpeg(image: bytes) -> Header:
    components, bits, is_ycck, size, frame = 3, 8, False, None, b""
    num_scans = 0
    orientations: list[Orientation] = []
    for marker, start, end in _segments(image):
        if marker in _FRAMES and end - start >= 6:
            bits, components, frame = image[start], image[start + 5], image[start:end]
            size = (_number(frame, 3, 2), _number(frame, 1, 2))
            num_scans += marker in _PROGRESSIVE_FRAMES
        elif marker == _SCAN and start < end:
            num_scans += image[start] < components
        elif marker == _APP14 and image[start : start + 5] == b"Adobe" and end - start >= 12:
            is_ycck = image[start + 11] == 2
        elif marker == _APP1 and image[start : start + 6] == b"Exif\0\0":
            orientations += _orientations(image, start + 6, end)
    kinds = {
        "grayscale": components == 1,
        "YCCK": components == 4 and is_ycck,
        "CMYK": components == 4 and not is_ycck,
        f"{bits} bits": bits != 8,
        EXIF_ROTATION: bool(orientations),
    }
    oddities = tuple(kind for kind, found in kinds.items() if found)
    known = Header("JPEG", size, oddities, tuple(orientations))
    if not num_scans:
        return known
    num_scans, num_kept = image.count(bytes((0xFF, _SCAN))), _num_coefficients(frame)
    return replace(known, num_scans=num_scans, num_kept=num_kept)


def _num_coefficients(frame: bytes) -> int:
    """Of all components of a JPEG together, some of which have fewer rows and columns."""
    factors = [(byte >> 4, byte & 15) for byte in frame[7::3]]
    across, down = (max(sides, default=0) for sides in zip(*factors or [(0, 0)]))
    num_pixels = _number(frame, 1, 2) * _number(frame, 3, 2)
    num_parts = sum(horizontal * vertical for horizontal, vertical in factors)
    return num_pixels * num_parts // (across * down or 1)


def _segments(image: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of the payload of each segment, up to the header of the first scan."""
    position = 2
    # What is no marker is passed over, as libjpeg does.
    while 0 <= (position := image.find(0xFF, position)) <= len(image) - 4:
        marker = image[position + 1]
        if marker == _END:
            return
        if marker == 0xFF:  # a fill byte
            position += 1
        elif marker in _WITHOUT_LENGTH:
            position += 2
        else:
            end = position + 2 + (image[position + 2] << 8 | image[position + 3])
            yield marker, position + 4, min(end, len(image))
            if marker == _SCAN:
                return
            position = end


def _orientations(image: bytes, tiff: int, end: int) -> Iterator[Orientation]:
    is_big_endian = image[tiff : tiff + 2] == b"MM"
    if not is_big_endian and image[tiff : tiff + 2] != b"II":
        return

    order: _ByteOrder = "big" if is_big_endian else "little"
    directory = tiff + _number(image, tiff + 4, 4, order)
    entries = range(directory + 2, end - 11, 12)[: _number(image, directory, 2, order)]
    for entry in entries:
        # OpenCV takes the first two bytes of the value, whatever type the entry says it has.
        tag, value = (_number(image, place, 2, order) for place in (entry, entry + 8))
        if tag == _ORIENTATION and value in _ROTATED:
            yield Orientation(entry + 8, b"\0\1" if is_big_endian else b"\1\0")


def _number(image: bytes, position: int, size: int, order: _ByteOrder = "big") -> int:
    return int.from_bytes(image[position : position + size], order)


def _png_oddities(image: bytes) -> Iterator[str]:
    bits, colour = (*image[24:26], 8, 2)[:2]
    if colour in (0, 4):
        yield "grayscale"
    if colour in (4, 6) or b"tRNS" in image[: image.find(b"IDAT")]:
        yield "alpha"
    if bits == 16:
        yield "16 bits"
