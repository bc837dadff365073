"""Record files against MXNet's own reader and writer, byte by byte, and against damage."""

from __future__ import annotations

import os
import pickle
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import pytest

from mobilenet.data.record import CorruptRecord, pack
from mobilenet.data.record_file import (
    RecordFile,
    RecordWriter,
    read_index,
    scan,
    write_index,
)
from mobilenet.errors import DataError

MAGIC = struct.pack("<I", 0xCED7230A)
Sample = tuple[int, int, bytes]


def write_ours(path: Path, samples: list[Sample]) -> Path:
    with RecordWriter(path, path.with_suffix(".idx")) as writer:
        for key, label, image in samples:
            writer.write(key, label, image)
    return path


def write_mxnets(path: Path, samples: list[Sample]) -> Path:
    writer = mx.recordio.MXIndexedRecordIO(str(path.with_suffix(".idx")), str(path), "w")
    for key, label, image in samples:
        header = mx.recordio.IRHeader(0, label, key, 0)
        writer.write_idx(key, mx.recordio.pack(header, image))
    writer.close()
    return path


def payloads(kind: str, seed: int) -> list[bytes]:
    """Byte strings in which the magic word stands nowhere, anywhere, everywhere."""
    rng = np.random.default_rng(seed)
    if kind == "noise":
        return [rng.bytes(size) for size in range(70)]
    if kind == "magic":
        return [MAGIC * count + bytes(tail) for count in range(8) for tail in range(5)]
    if kind == "zeros":
        return [bytes(size) for size in range(40)]
    pieces = [MAGIC, MAGIC[:3], MAGIC[1:], b"\n", b""]
    return [
        b"".join(pieces[i] or rng.bytes(i) for i in rng.integers(0, 5, rng.integers(0, 30)))
        for _ in range(300)
    ]


def samples_of(kind: str, seed: int = 0) -> list[Sample]:
    return [(i, i % 7, image) for i, image in enumerate(payloads(kind, seed))]


KINDS = ["noise", "magic", "zeros", "mixed"]


@pytest.mark.parametrize("kind", KINDS)
def test_written_as_mxnet_writes(tmp_path: Path, kind: str) -> None:
    ours = write_ours(tmp_path / "ours.rec", samples_of(kind))
    theirs = write_mxnets(tmp_path / "theirs.rec", samples_of(kind))
    assert ours.read_bytes() == theirs.read_bytes()
    assert ours.with_suffix(".idx").read_bytes() == theirs.with_suffix(".idx").read_bytes()


@pytest.mark.parametrize("magic_at", [0, 4, 8, 12, 16, 20])
def test_magic_word_within_the_header(tmp_path: Path, magic_at: int) -> None:
    header = bytearray(24)
    header[magic_at : magic_at + 4] = MAGIC
    key = struct.unpack_from("<Q", header, 8)[0]
    path = tmp_path / "a.rec"
    writer = mx.recordio.MXRecordIO(str(path), "w")
    writer.write(bytes(header) + b"image")
    writer.close()
    write_index(path.with_suffix(".idx"), [3], [0])
    if magic_at in (0, 4):  # the length of an array label, and a float that is no class
        with pytest.raises(CorruptRecord):
            RecordFile(path).image(0)
    else:
        assert bytes(RecordFile(path).image(0)) == b"image"
        assert next(iter(scan(path))).key == key


@pytest.mark.parametrize("kind", KINDS)
def test_reads_what_mxnet_wrote(tmp_path: Path, kind: str) -> None:
    samples = samples_of(kind)
    records = RecordFile(write_mxnets(tmp_path / "a.rec", samples))
    assert len(records) == len(samples)
    assert records.keys.tolist() == [key for key, _, _ in samples]
    assert records.labels().tolist() == [label for _, label, _ in samples]
    assert [bytes(records.image(i)) for i in range(len(records))] == [s[2] for s in samples]


@pytest.mark.parametrize("kind", KINDS)
def test_mxnet_reads_what_we_wrote(tmp_path: Path, kind: str) -> None:
    samples = samples_of(kind)
    path = write_ours(tmp_path / "a.rec", samples)
    reader = mx.recordio.MXIndexedRecordIO(str(path.with_suffix(".idx")), str(path), "r")
    for key, label, image in reversed(samples):
        header, content = mx.recordio.unpack(reader.read_idx(key))
        assert (header.id, header.label, header.flag, content) == (key, label, 0, image)
    reader.close()


def test_pack_is_mxnets() -> None:
    for key, label in [(0, 0), (1281166, 999), (2**64 - 1, 2**24)]:
        expected = mx.recordio.pack(mx.recordio.IRHeader(0, label, key, 0), b"image")
        assert pack(key, label, b"image") == expected


def test_scan_finds_what_the_index_says(tmp_path: Path) -> None:
    samples = samples_of("mixed")
    path = write_ours(tmp_path / "a.rec", samples)
    entries = list(scan(path))
    keys, offsets = read_index(path.with_suffix(".idx"))
    assert [entry.offset for entry in entries] == offsets.tolist()
    assert [entry.key for entry in entries] == keys.tolist()
    assert [entry.label for entry in entries] == [label for _, label, _ in samples]
    assert [entry.end for entry in entries] == [*offsets.tolist()[1:], path.stat().st_size]


def jpegs(number: int, seed: int = 0) -> list[bytes]:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (number, 32, 32, 3), np.uint8)
    return [cv2.imencode(".jpg", image)[1].tobytes() for image in images]


def test_mxnets_image_readers_read_ours(tmp_path: Path) -> None:
    images = jpegs(10)
    path = write_ours(tmp_path / "a.rec", [(i, i * 3, image) for i, image in enumerate(images)])
    dataset = mx.gluon.data.vision.ImageRecordDataset(str(path))
    iterator = mx.io.ImageRecordIter(
        path_imgrec=str(path),
        path_imgidx=str(path.with_suffix(".idx")),
        data_shape=(3, 32, 32),
        batch_size=10,
        ctx="cpu",
    )
    batch = next(iter(iterator))
    assert batch.label[0].asnumpy().tolist() == [i * 3 for i in range(10)]
    for i, image in enumerate(images):
        expected = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        pixels, label = dataset[i]
        assert label == i * 3
        assert np.array_equal(pixels.asnumpy(), expected)
        assert np.abs(batch.data[0][i].asnumpy().transpose(1, 2, 0) - expected).max() <= 2


def test_array_label_gives_its_first_value(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    writer = mx.recordio.MXIndexedRecordIO(str(path.with_suffix(".idx")), str(path), "w")
    for key, labels in enumerate([[5], [6, 0.5, 0.25], np.arange(7, 300)]):
        header = mx.recordio.IRHeader(0, np.asarray(labels, np.float32), key, 0)
        writer.write_idx(key, mx.recordio.pack(header, b"image"))
    writer.close()
    records = RecordFile(path)
    assert records.labels().tolist() == [5, 6, 7]
    assert [bytes(records.image(i)) for i in range(3)] == [b"image"] * 3


@pytest.mark.parametrize("label", [0.5, -1.0, float("nan"), float("inf"), 2.0**25])
def test_label_that_is_no_class(tmp_path: Path, label: float) -> None:
    path = write_mxnets(tmp_path / "a.rec", [(7, label, b"image")])
    with pytest.raises(CorruptRecord, match=r"a\.rec: record 0 at byte 0 has the label"):
        RecordFile(path).label(0)


def test_offsets_beyond_4_gib(tmp_path: Path) -> None:
    """A sparse file: ten records of the largest size, and a small one behind them."""
    path, part_bytes = tmp_path / "a.rec", (1 << 29) - 4
    with path.open("wb") as file:
        for number in range(10):
            file.seek(number * (part_bytes + 8))
            file.write(MAGIC + struct.pack("<I", part_bytes) + pack(number, number, b"")[:24])
        last = 10 * (part_bytes + 8)
        file.seek(last)
        file.write(MAGIC + struct.pack("<I", 29) + pack(10, 10, b"image") + bytes(3))
    assert last > 1 << 32
    assert [entry.label for entry in scan(path)] == list(range(11))
    write_index(path.with_suffix(".idx"), [10, 9], [last, last - part_bytes - 8])
    records = RecordFile(path)
    assert [records.label(position) for position in range(2)] == [10, 9]
    assert bytes(records.image(0)) == b"image"


def test_image_larger_than_one_read(tmp_path: Path) -> None:
    image = np.random.default_rng(0).bytes((1 << 20) + 12345)
    records = RecordFile(write_ours(tmp_path / "a.rec", [(0, 1, image), (1, 2, b"small")]))
    assert [bytes(records.image(0)), bytes(records.image(1))] == [image, b"small"]


def test_image_larger_than_the_format(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a record holds 512 MiB at most"):
        write_ours(tmp_path / "a.rec", [(0, 1, bytes((1 << 29) - 24))])


# Python 3.12 warns of any fork beside threads; MXNet's stand idle here and the child uses none.
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_threads_forks_and_pickled_copies_read_the_same(tmp_path: Path) -> None:
    samples = samples_of("mixed")
    records = RecordFile(write_ours(tmp_path / "a.rec", samples))
    expected = [image for _, _, image in samples]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert list(map(bytes, pool.map(records.image, range(len(records))))) == expected
    copy = pickle.loads(pickle.dumps(records))
    child = os.fork()
    if child == 0:
        same = [bytes(records.image(i)) for i in range(len(records))] == expected
        os._exit(0 if same else 1)
    assert [bytes(copy.image(i)) for i in range(len(copy))] == expected
    assert os.waitpid(child, 0)[1] == 0


def test_closed_file_says_so(tmp_path: Path) -> None:
    records = RecordFile(write_ours(tmp_path / "a.rec", samples_of("noise")))
    image = records.image(5)
    records.close()
    records.close()
    assert bytes(image) == payloads("noise", 0)[5]
    with pytest.raises(DataError, match="is closed"):
        records.image(0)


def test_file_cut_short_while_it_is_read(tmp_path: Path) -> None:
    """A memory map would end the process with SIGBUS here."""
    path = write_ours(tmp_path / "a.rec", [(i, 0, bytes(9000)) for i in range(10)])
    records = RecordFile(path)
    os.truncate(path, 5000)
    for position in range(10):
        with pytest.raises(CorruptRecord, match="the file has become shorter"):
            records.image(position)


def test_missing_and_empty_files_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    for damage, message in [
        (lambda: None, r"a\.rec: there is no record file"),
        (path.touch, r"a\.rec: the record file is empty; prepare it again"),
        (lambda: write_ours(path, samples_of("noise")), ""),
        (path.with_suffix(".idx").unlink, r"a\.idx: the index .* is missing; `mobilenet verify"),
        (path.with_suffix(".idx").touch, r"a\.idx: the index is empty; `mobilenet verify --fix`"),
    ]:
        damage()
        if not message:
            assert len(RecordFile(path)) == 70
            continue
        with pytest.raises(DataError, match=message):
            RecordFile(path)
    with pytest.raises(DataError, match="cannot read the record file: Is a directory"):
        RecordFile(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        *("0", "0\t0", "0\n", "0 0\n", "\n", "0\t0\n\n", "-1\t0\n", "0\t-4\n", "a\t0\n"),
        *("0\t0\t0\n", "0\t1.5\n", "0\t99999999999999999999\n", "٣\t0\n", "0\t0\n1\n2\t3\t4\n"),
    ],
)
def test_malformed_index_names_its_line(tmp_path: Path, content: str) -> None:
    path = write_ours(tmp_path / "a.rec", samples_of("noise"))
    path.with_suffix(".idx").write_bytes(b"0\t0\n" + content.encode())
    with pytest.raises(DataError, match=r"a\.idx:[23]: this line is not `key<TAB>offset`"):
        RecordFile(path)


@pytest.mark.parametrize("offsets", [[0, 0], [0, 10**17], [10**6], [0, 40, 40]])
def test_index_that_does_not_fit(tmp_path: Path, offsets: list[int]) -> None:
    path = write_ours(tmp_path / "a.rec", samples_of("noise"))
    write_index(path.with_suffix(".idx"), range(len(offsets)), offsets)
    with pytest.raises(DataError, match=r"a\.idx: the index does not fit a\.rec"):
        RecordFile(path)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_labels_are_of_every_record_of_the_file(tmp_path: Path, missing: int) -> None:
    path = write_ours(tmp_path / "a.rec", [(k, k, b"a" * 4 * k) for k in range(3)])
    keys, offsets = read_index(path.with_suffix(".idx"))
    write_index(path.with_suffix(".idx"), np.delete(keys, missing), np.delete(offsets, missing))
    with pytest.raises(DataError, match=r"a\.idx: the index has 2 records, and not all of a\.rec"):
        RecordFile(path).labels()


@pytest.mark.parametrize("offset", [4, 1, 36, 68])
def test_offset_that_starts_no_record(tmp_path: Path, offset: int) -> None:
    path = write_ours(tmp_path / "a.rec", [(0, 1, b"a" * 4), (1, 1, MAGIC + b"b" * 8)])
    assert [entry.offset for entry in scan(path)] == [0, 36]
    write_index(path.with_suffix(".idx"), [0], [offset])
    records = RecordFile(path)
    if offset == 36:
        assert bytes(records.image(0)) == MAGIC + b"b" * 8
        return
    for read in (records.image, records.label):
        with pytest.raises(CorruptRecord) as caught:
            read(0)
        assert (caught.value.position, caught.value.offset) == (0, offset)
        assert pickle.loads(pickle.dumps(caught.value)).problem == caught.value.problem


def test_scan_stops_where_the_file_is_cut(tmp_path: Path) -> None:
    path = write_ours(tmp_path / "a.rec", samples_of("mixed")[:8])
    ends = [entry.end for entry in scan(path)]
    content = path.read_bytes()
    for size in range(1, len(content)):
        path.write_bytes(content[:size])
        num_whole = sum(end <= size for end in ends)
        entries = scan(path)
        assert [next(entries).end for _ in range(num_whole)] == ends[:num_whole]
        if size in ends:
            assert list(entries) == []
            continue
        with pytest.raises(CorruptRecord, match="is cut short") as caught:
            next(entries)
        assert caught.value.position == num_whole


# What the 29 bits of a part's length leave beside the image header of 24 bytes.
LARGEST_IMAGE = 2**29 - 1 - 24


def test_an_image_of_more_than_512_mib_is_refused(tmp_path: Path) -> None:
    """Its bytes are zeros that nobody touches, and take no memory."""
    with RecordWriter(tmp_path / "x.rec", tmp_path / "x.idx") as writer:
        with pytest.raises(DataError, match="image 7 has 536870888 bytes; a record holds 512 MiB"):
            writer.write(7, 0, bytes(LARGEST_IMAGE + 1))
        writer.write(8, 1, b"x")
    records = RecordFile(tmp_path / "x.rec")
    assert (records.keys.tolist(), bytes(records.image(0))) == ([8], b"x")


@pytest.mark.slow
def test_an_image_of_512_mib_is_written_and_read(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "x.rec", tmp_path / "x.idx") as writer:
        writer.write(0, 3, bytes(LARGEST_IMAGE))
        writer.write(1, 4, b"x")
    records = RecordFile(tmp_path / "x.rec")
    assert records.labels().tolist() == [3, 4]
    label, image = records.labelled_image(0)
    assert (label, len(image)) == (3, LARGEST_IMAGE)


def test_the_largest_label(tmp_path: Path) -> None:
    """Beyond it the float32 of a record skips integers, so that no class has such a label."""
    path = tmp_path / "train.rec"
    with RecordWriter(path, path.with_suffix(".idx")) as writer:
        for key, label in enumerate((2**24, 2**24 + 2)):
            writer.write(key, label, b"image")
    records = RecordFile(path)
    assert records.label(0) == 2**24
    with pytest.raises(CorruptRecord, match="which is no class number"):
        records.label(1)
