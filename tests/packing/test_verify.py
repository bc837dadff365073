"""Verification tells sound record files from every kind of unsound ones, and mends indexes."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pty
import re
import runpy
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any, Callable

import cv2
import mxnet as mx
import numpy as np
import pytest

from mobilenet.data.record_file import RecordFile, RecordWriter, read_index, scan, write_index
from mobilenet.errors import DataError
from mobilenet.packing.verify import verify

NUM_RECORDS, NUM_CLASSES = 12, 4
SYNSET = "".join(f"n0000000{i} class {i}\n" for i in range(NUM_CLASSES))


def jpeg(seed: int) -> bytes:
    image = np.random.default_rng(seed).integers(0, 256, (16, 20, 3), np.uint8)
    return cv2.imencode(".jpg", image)[1].tobytes()


def write_records(path: Path, samples: list[tuple[int, int, bytes]]) -> Path:
    with RecordWriter(path, path.with_suffix(".idx")) as writer:
        for sample in samples:
            writer.write(*sample)
    return path


def write_manifest(record_path: Path, **changes: Any) -> None:
    """The manifest by its definition, computed from the bytes alone."""
    content = record_path.read_bytes()
    split = {
        "record_file": record_path.name,
        "index_file": record_path.with_suffix(".idx").name,
        "num_records": NUM_RECORDS,
        "num_classes": NUM_CLASSES,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "min_per_class": NUM_RECORDS // NUM_CLASSES,
        "max_per_class": NUM_RECORDS // NUM_CLASSES,
    }
    manifest = {
        "version": 1,
        "splits": {"train": {**split, **changes}},
        "num_classes": NUM_CLASSES,
        "synset_sha256": hashlib.sha256(SYNSET.encode()).hexdigest(),
    }
    (record_path.parent / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture
def record_path(tmp_path: Path) -> Path:
    """train.rec with index, manifest and synset, all sound."""
    samples = [(10 * i, i % NUM_CLASSES, jpeg(i)) for i in range(NUM_RECORDS)]
    path = write_records(tmp_path / "train.rec", samples)
    write_manifest(path)
    (tmp_path / "synset.txt").write_text(SYNSET)
    return path


def faults(path: Path, **options: bool) -> list[str]:
    report = verify(path, **options)
    found = [line for line in report.lines if "FAULT: " in line]
    assert report.sound == (not found)
    return found


@pytest.mark.parametrize("deep", [False, True])
def test_sound_folder_and_file(record_path: Path, deep: bool) -> None:
    for path in (record_path, record_path.parent):
        report = verify(path, deep)
        assert report.sound
        size = record_path.stat().st_size
        assert report.lines == [f"train.rec: 12 records with 4 labels, {size:,} bytes"]


def test_nothing_there(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent", tmp_path / "absent.rec"):
        with pytest.raises(DataError, match="no record file is there; `mobilenet prepare`"):
            verify(path)


def test_one_unsound_file_of_a_folder(record_path: Path) -> None:
    (record_path.parent / "val.rec").touch()
    assert faults(record_path) == []
    (fault,) = faults(record_path.parent)
    assert fault.startswith("val.rec: FAULT: ")
    assert "is empty" in fault


INDEX_DAMAGE: dict[str, tuple[Callable[..., Any], str]] = {
    "record left out": (lambda k, o: (k[1:], o[1:]), "1 records are not in the index, at bytes 0"),
    "record twice": (
        lambda k, o: (np.append(k, 999), np.append(o, o[3])),
        "1 offsets are in the index before: {3}",
    ),
    "key twice": (
        lambda k, o: (np.append(k[:-1], 20), o),
        "1 keys are in the index before: 20",
    ),
    "shifted": (lambda k, o: (k, o + 4), "12 offsets of the index start no record: 4, "),
    "other keys": (
        lambda k, o: (k + 1, o),
        "12 keys are not the ids in their records: 1, 11, 21, 31, 41, ...",
    ),
}


@pytest.mark.parametrize("damage", INDEX_DAMAGE)
def test_wrong_index_is_named_and_mended(record_path: Path, damage: str) -> None:
    index_path = record_path.with_suffix(".idx")
    sound = index_path.read_bytes()
    keys, offsets = read_index(index_path)
    change, expected = INDEX_DAMAGE[damage]
    write_index(index_path, *change(keys, offsets))
    expected = "train.idx: FAULT: " + expected.replace("{3}", str(offsets[3]))
    assert any(fault.startswith(expected) for fault in faults(record_path))
    report = verify(record_path, fix=True)
    assert report.sound
    assert any("train.idx: written anew, because " in line for line in report.lines)
    assert index_path.read_bytes() == sound
    assert verify(record_path).sound


@pytest.mark.parametrize("content", [None, b"", b"\x00\xff garbage", b"1\t2"])
def test_missing_or_malformed_index_is_mended(record_path: Path, content: bytes | None) -> None:
    index_path = record_path.with_suffix(".idx")
    sound = index_path.read_bytes()
    index_path.unlink()
    if content is not None:
        index_path.write_bytes(content)
    assert len(faults(record_path)) == 1
    assert index_path.exists() == (content is not None)
    assert verify(record_path, fix=True).sound
    assert index_path.read_bytes() == sound


def test_damaged_records_are_named_and_their_index_left_alone(record_path: Path) -> None:
    index_path = record_path.with_suffix(".idx")
    sound = index_path.read_bytes()
    offset = int(read_index(index_path)[1][7])
    with record_path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\0")
    (fault, behind, count) = faults(record_path, fix=True)[:3]
    assert f"record 7 at byte {offset} is damaged" in fault
    assert fault.endswith("; 7 good records stand before it; copy or prepare the file again")
    assert behind.endswith("of the 4 records behind it 4 can be read")
    assert count.endswith("num_records is 7, but 12 in the manifest")
    assert index_path.read_bytes() == sound
    index_path.unlink()
    report = verify(record_path, fix=True)
    assert not report.sound
    assert "train.idx: left as it is, because the records are damaged" in report.lines
    assert not index_path.exists()


def test_truncated_tail(record_path: Path) -> None:
    entries = list(scan(record_path))
    content = record_path.read_bytes()
    for last in (3, 11):
        for size in (entries[last].offset + 1, entries[last].offset + 40, entries[last].end - 1):
            record_path.write_bytes(content[:size])
            fault = faults(record_path)[0]
            assert f"record {last} at byte {entries[last].offset} is cut short" in fault
            assert f"; {last} good records stand before it" in fault
    record_path.write_bytes(content[: entries[4].end])
    assert any("num_records is 5, but 12" in fault for fault in faults(record_path))


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ({"num_records": 13}, "num_records is 12, but 13 in the manifest"),
        ({"bytes": 1}, "but 1 in the manifest"),
        ({"num_classes": 5}, "num_classes is 4, but 5 in the manifest"),
        ({"min_per_class": 2}, "min_per_class is 3, but 2 in the manifest"),
        ({"max_per_class": 4}, "max_per_class is 3, but 4 in the manifest"),
        ({"record_file": "val.rec"}, "val.rec: FAULT: is missing; the manifest has it"),
        ({"num_records": "many"}, "num_records is 12, but many in the manifest"),
    ],
)
def test_manifest_that_claims_otherwise(
    record_path: Path, claim: dict[str, Any], expected: str
) -> None:
    write_manifest(record_path, **claim)
    (fault,) = faults(record_path.parent)
    assert fault.endswith(expected)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"splits": 5}'),
        *(
            b'{"splits": {"a": 5}}',
            b'{"splits": {"a": {}}}',
            b'{"splits": {"a": {"record_file": 5, "name": 5, "": 5}}, "num_classes": "many"}',
            b'{"splits": {}, "num_classes": 1e999}',
        ),
    ],
)
def test_file_that_is_no_manifest(record_path: Path, content: bytes) -> None:
    (record_path.parent / "manifest.json").write_bytes(content)
    report = verify(record_path)
    assert report.lines[0].startswith("manifest.json: FAULT: is no manifest as `mobilenet prepare`")
    assert "train.rec: 12 records with 4 labels" in report.lines[1]
    assert not report.sound


def test_synset_that_is_no_text(record_path: Path) -> None:
    (record_path.parent / "synset.txt").write_bytes(b"\xff\xfe")
    report = verify(record_path)
    assert report.lines[0] == "synset.txt: FAULT: is no UTF-8 text with one class per line"
    assert "train.rec: 12 records with 4 labels" in report.lines[1]
    assert not report.sound


def test_images_are_decoded_with_a_bar_on_a_terminal(record_path: Path) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 30, 100, 0, 0))
    call = [sys.executable, "-m", "mobilenet", "verify", "--deep", str(record_path)]
    subprocess.run(call, stdout=subprocess.DEVNULL, stderr=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 1 << 16)
    os.close(ours)
    assert re.search(rb"train\.rec: 100%[^\r\n]* 12/12 .* images/s", shown), shown


def test_manifest_that_says_little_or_nonsense(record_path: Path) -> None:
    manifest = record_path.parent / "manifest.json"
    manifest.write_text('{"splits": {"a": {"record_file": "train.rec"}}, "num_classes": 1e300}')
    assert faults(record_path.parent, deep=True) == []
    manifest.write_text('{"splits": {"a": {"record_file": "train.rec", "sha256": 5}}}')
    assert len(faults(record_path.parent, deep=True)) == 1


def test_class_that_has_no_image(record_path: Path) -> None:
    """A split counts the classes that it has, and its rarest class among all that there are."""
    synset = SYNSET + "n00000009 without images\n"
    (record_path.parent / "synset.txt").write_text(synset)
    write_manifest(record_path, min_per_class=0)
    manifest = record_path.parent / "manifest.json"
    old, new = (hashlib.sha256(text.encode()).hexdigest() for text in (SYNSET, synset))
    manifest.write_text(manifest.read_text().replace(old, new))
    assert faults(record_path) == []
    (record_path.parent / "synset.txt").unlink()
    (fault,) = faults(record_path)
    assert fault.endswith("min_per_class is 3, but 0 in the manifest")


def test_labels_beyond_the_classes(record_path: Path) -> None:
    for num_classes, num_outside in ((3, 3), (1, 9)):
        write_manifest(record_path, num_classes=num_classes)
        (record_path.parent / "synset.txt").write_text("class\n" * num_classes)
        expected = f"{num_outside} labels are not in 0 .. {num_classes - 1}: record {num_classes} "
        assert any(expected in fault for fault in faults(record_path))


def test_synset_other_than_the_labels(record_path: Path) -> None:
    (record_path.parent / "synset.txt").write_text("".join(reversed(SYNSET.splitlines(True))))
    (fault,) = faults(record_path)
    assert fault.startswith("synset.txt: FAULT: is not the one that the records")


def test_deep_finds_what_headers_do_not_show(record_path: Path) -> None:
    position, entry = 5, list(scan(record_path))[5]
    with record_path.open("r+b") as file:
        file.seek(entry.offset + 32 + 300)  # somewhere in the JPEG's entropy-coded bytes
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))
    assert faults(record_path) == []
    (fault,) = faults(record_path, deep=True)
    assert fault.endswith("the SHA-256 is not the manifest's: the content has changed")
    with record_path.open("r+b") as file:
        file.seek(entry.offset + 32)
        file.write(bytes(entry.end - entry.offset - 32))
    (record_path.parent / "manifest.json").unlink()
    assert faults(record_path) == []
    (fault,) = faults(record_path, deep=True)
    assert f"record {position} at byte {entry.offset}: the image cannot be decoded" in fault


def test_deep_names_a_few_of_many_undecodable_images(tmp_path: Path) -> None:
    images = [b"no image", b"", jpeg(0)]
    samples = [(i, 0, images[i % 3]) for i in range(3000)]
    found = faults(write_records(tmp_path / "a.rec", samples), deep=True)
    assert len(found) == 6
    assert "record 4 at byte" in found[3]
    assert found[5].endswith("1995 more images cannot be decoded")


def test_deep_counts_what_the_decoder_says(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    images = [jpeg(0), *(jpeg(i)[:-2] + bytes(10 * i) + b"\xff\xd9" for i in (1, 2))]
    path = write_records(tmp_path / "a.rec", [(i, 0, image) for i, image in enumerate(images)])
    report = verify(path, deep=True)
    assert report.sound
    (line,) = [line for line in report.lines if "complaint" in line]
    assert "extraneous bytes" in line
    assert line.endswith("(2 times)")
    assert "extraneous bytes" not in capfd.readouterr().err


def write_ilsvrc2012_synset(folder: Path) -> None:
    (folder / "synset.txt").write_text("".join(f"n{i:08} name\n" for i in range(1000)))


def test_subset_of_ilsvrc2012_is_a_note(tmp_path: Path) -> None:
    write_ilsvrc2012_synset(tmp_path)
    for name, total in (("train", "1,281,167"), ("val", "50,000")):
        path = write_records(tmp_path / f"{name}.rec", [(0, 999, jpeg(0))])
        report = verify(path)
        assert report.sound
        assert report.lines[1] == f"{name}.rec: 1 of the {total} {name} images of ILSVRC2012"


def test_all_of_ilsvrc2012_validation(tmp_path: Path) -> None:
    write_ilsvrc2012_synset(tmp_path)
    path = write_records(tmp_path / "val.rec", [(i, i // 50, b"image") for i in range(50_000)])
    report = verify(path)
    assert report.sound
    assert report.lines[1] == "val.rec: all 50,000 val images of ILSVRC2012"


@pytest.fixture
def im2rec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """MXNet's own packing tool, out of its wheel: packs tmp_path/images as tmp_path/set."""
    tool = Path(mx.__file__).parent / "tools" / "im2rec.py"

    def run(*options: str) -> None:
        paths = [str(tmp_path / "set"), str(tmp_path / "images")]
        monkeypatch.setattr(sys, "argv", [str(tool), *paths, *options])
        names = runpy.run_path(str(tool), run_name="__main__")
        if "record" in names:
            names["record"].close()  # it leaves this to the end of the process

    return run


@pytest.mark.parametrize("array_labels", [False, True])
def test_files_of_im2rec(tmp_path: Path, im2rec: Callable[..., None], array_labels: bool) -> None:
    for label in range(3):
        folder = tmp_path / "images" / str(label)
        folder.mkdir(parents=True)
        for number in range(4):
            (folder / f"{number}.jpg").write_bytes(jpeg(4 * label + number))
    im2rec("--list", "--recursive")
    list_path, record_path = tmp_path / "set.lst", tmp_path / "set.rec"
    rows = [line.split("\t") for line in list_path.read_text().splitlines()]
    if array_labels:
        wide = ["\t".join([key, label, "0.25", name]) + "\n" for key, label, name in rows]
        list_path.write_text("".join(wide))
    im2rec("--pass-through", *(["--pack-label"] if array_labels else []))
    assert faults(record_path, deep=True) == []
    expected = [int(float(label)) for _, label, _ in rows]
    assert RecordFile(record_path).labels().tolist() == expected
    index_path = record_path.with_suffix(".idx")
    sound = index_path.read_bytes()
    index_path.unlink()
    assert verify(record_path, fix=True).sound
    assert index_path.read_bytes() == sound


def test_ids_that_are_no_keys(tmp_path: Path) -> None:
    """Some packers leave the id of every record 0, or put a hash there."""
    for ids in ([0, 0, 0], [1, 2, 2**64 - 1]):
        path = write_records(tmp_path / "a.rec", [(key, 0, b"image") for key in ids])
        path.with_suffix(".idx").unlink()
        assert verify(path, fix=True).sound
        assert read_index(path.with_suffix(".idx"))[0].tolist() == [0, 1, 2]


def test_images_without_bytes(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "x.rec", tmp_path / "x.idx") as writer:
        for key in range(8):
            writer.write(key, 0, b"" if key in (1, 2, 5) else b"image")
    report = verify(tmp_path / "x.rec")
    assert not report.sound
    assert "x.rec: FAULT: 3 records have images of 0 bytes: 1, 2, 5" in report.lines
