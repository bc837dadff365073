"""A thousand damaged record files: each is read, or refused in a sentence; nothing else happens."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Callable

import cv2
import numpy as np
import pytest

from mobilenet.data.image_decoding import decode
from mobilenet.data.record_file import RecordFile, RecordWriter, scan
from mobilenet.errors import DataError
from mobilenet.packing.verify import VerifyReport, verify

MAGIC = bytes.fromhex("0a23d7ce")
Damage = Callable[[np.random.Generator, bytes], bytes]


def flip_bytes(rng: np.random.Generator, content: bytes) -> bytes:
    damaged = bytearray(content)
    for place in rng.integers(0, len(content), rng.integers(1, 9)):
        damaged[place] ^= int(rng.integers(1, 256))
    return bytes(damaged)


def flip_heads(rng: np.random.Generator, content: bytes) -> bytes:
    """Flips bytes of magic words, lengths and image headers, where random ones seldom fall."""
    damaged = bytearray(content)
    starts = [i for i in range(0, len(content), 4) if content[i : i + 4] == MAGIC]
    for start in rng.choice(starts, 2):
        damaged[min(start + int(rng.integers(0, 32)), len(content) - 1)] ^= int(
            rng.integers(1, 256)
        )
    return bytes(damaged)


def truncate(rng: np.random.Generator, content: bytes) -> bytes:
    return content[: rng.integers(0, len(content))]


def zero_block(rng: np.random.Generator, content: bytes) -> bytes:
    start, end = sorted(rng.integers(0, len(content) + 1, 2))
    return content[:start] + bytes(end - start) + content[end:]


def replace_block(rng: np.random.Generator, content: bytes) -> bytes:
    start, end = sorted(rng.integers(0, len(content) + 1, 2))
    return content[:start] + rng.bytes(end - start) + content[end:]


def insert_magic(rng: np.random.Generator, content: bytes) -> bytes:
    damaged = bytearray(content)
    for place in rng.integers(0, len(content) // 4, 3):
        damaged[4 * place : 4 * place + 4] = MAGIC
    return bytes(damaged)


def drop_block(rng: np.random.Generator, content: bytes) -> bytes:
    start, end = sorted(rng.integers(0, len(content) + 1, 2))
    return content[:start] + content[end:]


def append_garbage(rng: np.random.Generator, content: bytes) -> bytes:
    return content + rng.bytes(rng.integers(1, 100))


def garbage_line(rng: np.random.Generator, content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    garbage = [rng.bytes(20), b"\t\n", b"7\n", b"-1\t-1\n", b"9\t%d\n" % rng.integers(0, 2**40)]
    lines[rng.integers(0, len(lines))] = garbage[rng.integers(0, len(garbage))]
    return b"".join(lines)


RECORD_DAMAGE: list[Damage] = [
    flip_bytes,
    flip_heads,
    truncate,
    zero_block,
    replace_block,
    insert_magic,
    drop_block,
    append_garbage,
]
INDEX_DAMAGE: list[Damage] = [flip_bytes, truncate, garbage_line, drop_block, append_garbage]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten real JPEGs, two of which hold the magic word where it must be cut out."""
    path = tmp_path_factory.mktemp("sound") / "train.rec"
    with RecordWriter(path, path.with_suffix(".idx")) as writer:
        for number in range(10):
            image = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
            encoded = cv2.imencode(".jpg", image)[1].tobytes()
            writer.write(number, number % 3, encoded + MAGIC * (number % 5 == 0) * 4)
    return path


def write_damaged(path: Path, sound: Path, seed: list[int]) -> None:
    """A copy of the sound files with one kind of damage to the records, the index or both."""
    rng = np.random.default_rng(seed)
    content, index = sound.read_bytes(), sound.with_suffix(".idx").read_bytes()
    what = rng.choice(["records", "records", "index", "both"])
    if what != "index":
        content = RECORD_DAMAGE[rng.integers(len(RECORD_DAMAGE))](rng, content)
    if what != "records":
        index = INDEX_DAMAGE[rng.integers(len(INDEX_DAMAGE))](rng, index)
    path.write_bytes(content)
    path.with_suffix(".idx").write_bytes(index)


def read_all(path: Path) -> tuple[list[int], list[bytes]]:
    """Labels and images; every image is decoded too."""
    records = RecordFile(path)
    images = [bytes(records.image(position)) for position in range(len(records))]
    for image in images:
        decode(image)
    return records.labels().tolist(), images


def attempt(step: Callable[[Path], object], path: Path) -> object:
    """What the step gives, or None if it refuses the file in one sentence."""
    try:
        return step(path)
    except DataError as error:
        assert "\n" not in str(error)
        return None


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(20))
def test_fifty_damaged_files(sound: Path, tmp_path: Path, seed: int) -> None:
    path, manifest = tmp_path / "train.rec", tmp_path / "manifest.json"
    content = sound.read_bytes()
    split = {"record_file": path.name, "sha256": hashlib.sha256(content).hexdigest()}
    manifest.write_text(json.dumps({"splits": {"train": split}}))
    verdicts = []
    for trial in range(50):
        write_damaged(path, sound, [seed, trial])
        attempt(lambda path: list(scan(path)), path)
        attempt(read_all, path)
        report = attempt(verify, path)
        same_records = path.read_bytes() == content
        mended = attempt(lambda path: verify(path, deep=True, fix=True), path)
        # The one verdict that may be wrong costs a training run: sound, when it is not.
        assert isinstance(mended, VerifyReport)
        assert mended.sound == same_records
        if same_records:
            assert read_all(path) == read_all(sound)
        verdicts.append((report.sound, same_records))
    assert {(False, True), (False, False)} <= set(verdicts)
