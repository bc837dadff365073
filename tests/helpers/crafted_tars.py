"""Crafts tars of images that are nearly right, and packs them (`crafting`)."""

from __future__ import annotations

import gzip
import shutil
import sys
import tarfile
from pathlib import Path

import mobilenet  # noqa: F401  # isort: skip  repairs NumPy first
import mini_imagenet as mini
from crafting import EXTREMES, Random, craft_and_read, one_of, quiet, spoilt, told

from mobilenet.packing.folder_trees import Folder, read_tar, read_tar_of_tars, walk
from mobilenet.packing.prepare import PrepareOptions, prepare

_BLOCK = 512
_TYPES = b"\0" + b"012345678ADKLMNSVXgx\xff"
# Start and length of each field of a header (POSIX.1-2001, `ustar`).
_FIELDS = {"name": (0, 100), "mode": (100, 8), "size": (124, 12), "kind": (156, 1)}
_FIELDS |= {"link": (157, 100), "magic": (257, 8), "sparse": (386, 97), "prefix": (345, 155)}
_KEYS = ("path", "size", "linkpath", "mtime", "hdrcharset", "GNU.sparse.map", "GNU.sparse.size")
_KEYS += ("GNU.sparse.realsize", "GNU.sparse.major", "GNU.sparse.minor", "GNU.sparse.numblocks")
_TREE, _VAL, _DEVKIT = "data.tar", "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz"


def write_whole(folder: Path) -> None:
    """A tree of both splits, the validation images of ILSVRC2012, and their development kit."""
    mini.tar(folder)
    mini.official_tars(folder / "official")


def wrong_headers(content: bytes, random: Random) -> bytes:
    """The tar with other headers, whose sums are right, or with some more members."""
    changed = bytearray(content)
    for _ in range(random.integers(1, 4)):
        headers = [
            i for i in range(0, len(changed), _BLOCK) if changed[i + 257 : i + 262] == b"ustar"
        ]
        if not headers:
            break
        place = one_of(headers, random)
        if random.integers(2):
            changed[place:place] = member(random)
        else:
            start, length = one_of(list(_FIELDS.values()), random)
            value = one_of((number(random), random.bytes(length), text(random)), random)
            changed[place + start : place + start + length] = value[:length].ljust(length, b"\0")
            summed(changed, place)
    return bytes(changed)


def summed(tar: bytearray, place: int) -> None:
    """Gives the header its sum, without which nothing in it is read."""
    tar[place + 148 : place + 156] = b" " * 8
    tar[place + 148 : place + 156] = b"%06o\0 " % sum(tar[place : place + _BLOCK])


def number(random: Random) -> bytes:
    value = one_of((*EXTREMES, 511, 512, 513, 1 << 62, 1 << 80), random)
    if random.integers(2):
        return b"%011o" % abs(value)
    first = b"\xff" if value < 0 else b"\x80"  # as GNU's tar writes what octal digits do not hold
    return first + (value & ((1 << 88) - 1)).to_bytes(11, "big")


def text(random: Random) -> bytes:
    deep = b"a/" * int(random.integers(1, 6000))
    names = (
        b"../up.jpg",
        b"/root.jpg",
        b"\0",
        b"",
        b".",
        b"train/n01440764",
        b"a\nb.jpg",
        b"\xff\xfe",
    )
    return bytes(one_of((*names, deep + b"x.jpg", b"x" * 5000, b"train/" + deep), random))


def member(random: Random) -> bytes:
    """A header that others write before a member: a long name, or facts of its own."""
    kind = one_of((b"L", b"K", b"x", b"g", b"S", b"X"), random)
    content = text(random)
    if kind in b"xgX":
        content = b"".join(record(random) for _ in range(random.integers(1, 5)))
    header = bytearray(tarfile.TarInfo("././@LongLink").tobuf(tarfile.USTAR_FORMAT))
    header[156:157] = kind
    size = b"%011o" % len(content) if random.integers(4) else number(random)
    header[124:136] = size[:12].ljust(12, b"\0")
    summed(header, 0)
    return bytes(header) + content + bytes(-len(content) % _BLOCK)


def record(random: Random) -> bytes:
    """A line of an extended header: its length, a key and a value."""
    value = one_of(
        (number(random), text(random), b"1", b"-1", b"0,1,2", b"1e9", b"9" * 5000), random
    )
    line = b" %s=%s\n" % (one_of(_KEYS, random).encode(), value)
    return b"%d" % (one_of((0, 0, 0, 1, 10**6), random) or len(line) + 3) + line


def read(folder: Path) -> None:
    """Lists the tars, and packs what is in them."""

    def pack() -> None:
        output = folder / "output"
        shutil.rmtree(output, ignore_errors=True)
        with quiet():
            prepare(PrepareOptions(source(folder), output, skip_bad=True, split=split))

    split = "val" if (folder / _VAL).exists() else None
    for tar in folder.glob("*.tar"):
        told(lambda tar=tar: listed(read_tar(tar)))
        told(lambda tar=tar: listed(read_tar_of_tars(tar)))
    told(pack)


def source(folder: Path) -> Path:
    return folder if (folder / _VAL).exists() else folder / _TREE


def listed(tree: Folder) -> None:
    for _, file in walk(tree):
        if file is not None:
            told(file.read)


def main() -> None:
    """Crafts and reads."""
    folder, kind = Path(sys.argv[1]), sys.argv[2]
    crafted = folder / f"crafted-{kind}"
    crafted.mkdir()
    val, devkit = ((folder / "official" / name).read_bytes() for name in (_VAL, _DEVKIT))
    if kind == "devkit":
        (crafted / _VAL).write_bytes(val)

    def craft(random: Random, number: int) -> None:
        crafts = wrong_headers if number % 3 else spoilt
        if kind == "tar":
            (crafted / _TREE).write_bytes(crafts((folder / _TREE).read_bytes(), random))
        elif number % 3 == 0:
            (crafted / _DEVKIT).write_bytes(spoilt(devkit, random))
        else:
            unpacked = crafts(gzip.decompress(devkit), random)
            (crafted / _DEVKIT).write_bytes(gzip.compress(unpacked, 1))

    craft_and_read(craft, lambda: read(crafted))


if __name__ == "__main__":
    main()
