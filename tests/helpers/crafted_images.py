"""Crafts images that are nearly right, and has everything look at them that does (`crafting`)."""

from __future__ import annotations

import struct
import sys

import mobilenet  # noqa: F401  # isort: skip  repairs NumPy first
import numpy as np
from crafting import EXTREMES, Random, craft_and_read, one_of, spoilt, told
from pictures import encoded, photograph
from PIL import Image

from mobilenet.data.eval_transforms import EvalTransform
from mobilenet.data.image_decoding import decode
from mobilenet.data.image_header import read_header
from mobilenet.data.training_augmentation import NUM_DRAWS, TrainTransform
from mobilenet.packing.stored_image import Conversion

_OTHERS = ("PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000")
_SCAN, _APP1 = 0xDA, 0xE1
# Up to the most pixels that are decoded, and beyond.
_SIDES = (0, 1, 7, 8, 2048, 11_585, 32_768, 65_500, 65_535)
_SIZES = (*((a, b) for a in _SIDES for b in _SIDES), *((2048, 65_535),) * 4, (11_585, 11_585))
_VIEWS = ("center-crop", "center-crop-pil", "squash", "imagenet-preprocess")


def jpegs() -> list[bytes]:
    """One of each kind: baseline and progressive, in colour, grey and four colours, turned."""
    photo = Image.fromarray(photograph(48, 64))
    turned = Image.Exif()
    turned[0x0112] = 6
    return [
        encoded(photo, "JPEG"),
        encoded(photo, "JPEG", progressive=True),
        encoded(photo, "JPEG", progressive=True, exif=turned),
        encoded(photo, "JPEG", exif=turned, subsampling=0),
        encoded(photo.convert("L"), "JPEG", progressive=True),
        encoded(photo.convert("CMYK"), "JPEG"),
        encoded(photo.convert("CMYK"), "JPEG", progressive=True),
        encoded(photo, "JPEG", restart_marker_blocks=2),
    ]


def segments(image: bytes) -> list[bytes]:
    """The JPEG cut before each of its markers; a scan goes with its header."""
    starts, place = [0], 2
    while place < len(image):
        starts.append(place)
        if image[place + 1] == 0xD9:
            break
        is_scan = image[place + 1] == _SCAN
        place += 2 + int.from_bytes(image[place + 2 : place + 4], "big")
        while is_scan and not (image[place] == 0xFF and image[place + 1] not in _IN_SCANS):
            place += 1
    return [image[a:b] for a, b in zip(starts, [*starts[1:], len(image)])]


_IN_SCANS = (0, *range(0xD0, 0xD8))


def wrong_jpeg(image: bytes, random: Random) -> bytes:
    """The JPEG with another size, other segments, or some of its segments many times."""
    parts = segments(image)
    for _ in range(random.integers(1, 3)):
        _CHANGES[random.integers(len(_CHANGES))](parts, random)
    return b"".join(parts)


def is_frame(part: bytes) -> bool:
    return part[:1] == b"\xff" and part[1:2] in (b"\xc0", b"\xc1", b"\xc2")


def change_size(parts: list[bytes], random: Random) -> None:
    for i, part in enumerate(parts):
        if is_frame(part):
            height, width = one_of(_SIZES, random)
            parts[i] = part[:5] + struct.pack(">HH", height, width) + part[9:]


def change_frame(parts: list[bytes], random: Random) -> None:
    """Other bits, number of components, sampling factors or tables."""
    for i, part in enumerate(parts):
        if is_frame(part):
            place = one_of((4, *range(9, len(part))), random)
            value = one_of((0, 1, 2, 3, 4, 8, 12, 0x11, 0x44, 0xFF, 0xF1), random)
            parts[i] = part[:place] + bytes([value]) + part[place + 1 :]


def repeat_scans(parts: list[bytes], random: Random) -> None:
    """Thousands of scans: each is a pass over all coefficients."""
    scans = [part for part in parts if part[1:2] == bytes([_SCAN])] or parts[-1:]
    place = parts.index(scans[-1])
    parts[place:place] = scans * int(one_of((2, 100, 5000), random))


def repeat_segment(parts: list[bytes], random: Random) -> None:
    place = int(random.integers(len(parts)))
    parts[place:place] = [parts[place]] * int(one_of((1, 10, 1000), random))


def insert_segment(parts: list[bytes], random: Random) -> None:
    marker = int(random.integers(0xC0, 0xFF))
    content = random.bytes(int(random.integers(0, 300)))
    length = one_of((len(content) + 2, 0, 1, 2, 65_535), random)
    head = struct.pack(">BBH", 255, marker, length)
    for part in (head, content) if random.integers(2) else (head + content,):
        parts.insert(int(random.integers(len(parts) + 1)), part)


def insert_exif(parts: list[bytes], random: Random) -> None:
    """Directories whose offsets, counts and values lead anywhere."""
    order = one_of("<>", random)
    numbers = [one_of((*EXTREMES, 8, 26), random) & 0xFFFFFFFF for _ in range(3)]
    entry = struct.pack(f"{order}HHII", 0x0112, one_of((0, 3, 4, 13, 65_535), random), *numbers[:2])
    count = one_of((0, 1, 2, 65_535), random)
    directory = struct.pack(f"{order}HI", 42, one_of((8, 8, 8, numbers[2]), random))
    tiff = (b"II" if order == "<" else b"MM") + directory + struct.pack(f"{order}H", count) + entry
    content = b"Exif\0\0" + tiff + struct.pack(f"{order}I", one_of((0, 8), random))
    head = struct.pack(">BBH", 255, _APP1, len(content) + 2)
    parts[1:1] = [head + content] * int(one_of((1, 1, 50), random))


def cut(parts: list[bytes], random: Random) -> None:
    del parts[int(random.integers(len(parts))) + 1 :]


def drop_segment(parts: list[bytes], random: Random) -> None:
    del parts[int(random.integers(len(parts)))]


_CHANGES = (
    *(change_size,) * 2,
    *(change_frame,) * 2,
    repeat_scans,
    repeat_segment,
    insert_segment,
    insert_exif,
    cut,
    drop_segment,
)


def look_at(image: bytes) -> None:
    """Decodes, crops, augments and packs the image."""
    train = TrainTransform(32, brightness=0.4, hue=0.1, pca_noise=0.1, random_erasing=0.5)
    (augmentation,) = train.augmentations(np.random.default_rng(0).random((1, NUM_DRAWS)))
    read_header(image)
    for orientation in ("ignore", "apply"):
        told(lambda orientation=orientation: decode(image, orientation))
    told(lambda: train.pixels(image, augmentation))
    for name in _VIEWS:
        told(lambda name=name: EvalTransform(name, 32, exif_orientation="apply")(image))
    told(lambda: Conversion()("a.jpg", image))
    told(lambda: Conversion(short_side=32, exif_orientation="apply")("a.jpg", image))


def main() -> None:
    """Crafts and looks."""
    kind, crafted = sys.argv[2], bytearray()
    photo = Image.fromarray(photograph(48, 64))
    wholes = jpegs() if kind == "jpeg" else [encoded(photo, form) for form in _OTHERS]

    def craft(random: Random, number: int) -> None:
        crafts = wrong_jpeg if kind == "jpeg" and number % 3 else spoilt
        crafted[:] = crafts(one_of(wholes, random), random)

    craft_and_read(craft, lambda: look_at(bytes(crafted)))


if __name__ == "__main__":
    main()
