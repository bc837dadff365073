"""Crafts record files, indexes and manifests that are nearly right, and reads them (`crafting`)."""

from __future__ import annotations

import shutil
import struct
import sys
from pathlib import Path

import mobilenet  # noqa: F401  # isort: skip  repairs NumPy first
import cv2
import numpy as np
from crafted_texts import wrong_json
from crafting import EXTREMES, Random, craft_and_read, one_of, quiet, spoilt, told

from mobilenet.data.image_decoding import decode
from mobilenet.data.manifest import Manifest
from mobilenet.data.record_file import RecordFile, scan
from mobilenet.data.record_folder import MANIFEST, record_digests
from mobilenet.packing.prepare import PrepareOptions, prepare
from mobilenet.packing.verify import verify

FILES = {"rec": "train.rec", "idx": "train.idx", "json": MANIFEST}
_MAGIC = bytes.fromhex("0a23d7ce")
# Offsets from the magic word of a record to its length, number of labels, label and keys.
_FIELDS = (4, 8, 12, 16, 24)


def write_whole(folder: Path) -> None:
    """Records of a few images, as `prepare` writes them."""
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        # Some hold the magic word, where the record is cut in parts.
        image = cv2.imencode(".jpg", pixels)[1].tobytes() + _MAGIC * (number % 5 == 0) * 4
        path = folder / "images" / f"class{number % 3}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image)
    prepare(options(folder))
    shutil.copytree(folder / "records", folder / "whole")


def options(folder: Path) -> PrepareOptions:
    return PrepareOptions(folder / "images", folder / "records")


def wrong_record(content: bytes, random: Random) -> bytes:
    """The record file with another number in the header of a record."""
    changed = bytearray(content)
    starts = [i for i in range(0, len(content), 4) if content[i : i + 4] == _MAGIC]
    for _ in range(random.integers(1, 3)):
        place = one_of(starts, random) + one_of(_FIELDS, random)
        number = one_of((*EXTREMES, 1 << 29, 3 << 29, (3 << 29) + 8, 28, 32), random)
        label = one_of((-1.0, 0.5, 1e30, float("nan"), float("inf"), 2.0**24), random)
        is_label = random.integers(3) == 0
        field = struct.pack("<f", label) if is_label else struct.pack("<I", number & 0xFFFFFFFF)
        changed[place : place + 4] = field
    return bytes(changed)


def wrong_index(content: bytes, random: Random) -> bytes:
    """The index with other numbers in a line, or other lines."""
    lines = content.splitlines(keepends=True)
    for _ in range(random.integers(1, 4)):
        place = int(random.integers(len(lines)))
        key, offset = (one_of((*EXTREMES, 10**17, 10**18, 8, 176), random) for _ in range(2))
        lines[place] = one_of(
            (
                b"%d\t%d\n" % (key, offset),
                b"%d\t%d\n" % (place, offset),
                lines[int(random.integers(len(lines)))],
                b"%d %d\n" % (key, offset),
                b"0x10\t1e3\n",
                b"9" * int(random.integers(1, 5000)) + b"\t0\n",
                b"\n" * int(random.integers(1, 1000)),
                "\u0661\t\u0662\n".encode(),
            ),
            random,
        )
    return b"".join(lines * int(one_of((1, 1, 1, 1000), random)))


def read(folder: Path) -> None:
    """Reads the records in every way in which the package does."""
    path = folder / "train.rec"

    def every_record() -> None:
        records = RecordFile(path)
        for position in range(min(len(records), 100)):
            told(lambda position=position: decode(records.labelled_image(position)[1]))
        records.labels()

    def prepare_again() -> None:
        with quiet():
            prepare(options(folder.parent))

    told(lambda: list(scan(path)))
    told(every_record)
    told(lambda: record_digests(path))
    told(lambda: Manifest.read(folder / MANIFEST).summary())
    told(prepare_again)
    told(lambda: verify(folder))
    told(lambda: verify(folder, deep=True, fix=True))


def main() -> None:
    """Crafts and reads."""
    folder, kind = Path(sys.argv[1]), sys.argv[2]
    crafted = folder / "records"
    wrong = {"rec": wrong_record, "idx": wrong_index, "json": wrong_json}[kind]

    def craft(random: Random, number: int) -> None:
        shutil.rmtree(crafted)
        shutil.copytree(folder / "whole", crafted)
        path = crafted / FILES[kind]
        crafts = wrong if number % 3 else spoilt
        path.write_bytes(crafts(path.read_bytes(), random))

    craft_and_read(craft, lambda: read(crafted))


if __name__ == "__main__":
    main()
