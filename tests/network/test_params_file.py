"""Files of arrays: byte for byte those of MXNet; no write fails unnoticed, no read crashes."""

from __future__ import annotations

import io
import os
import resource
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import mxnet as mx
import numpy as np
import pytest

from mobilenet.errors import WeightsError
from mobilenet.network.params_file import read_arrays, write_arrays


def test_bytes_are_those_of_mxnet(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    arrays = {
        "stem_conv_weight": mx.nd.array(random.standard_normal((3, 4, 5, 1))),
        "velocity/größe": mx.nd.array(random.standard_normal(7)).astype("float16"),
        "double": mx.nd.array(random.standard_normal((2, 2)), dtype="float64"),
    }
    mx.nd.save(str(tmp_path / "theirs"), arrays)
    ours = io.BytesIO()
    write_arrays(ours, arrays)
    assert ours.getvalue() == (tmp_path / "theirs").read_bytes()


def test_mxnet_reads_them(tmp_path: Path) -> None:
    arrays = {"a": mx.nd.arange(6).reshape((2, 3)), "b": mx.nd.ones((1,))}
    with (tmp_path / "ours").open("wb") as file:
        write_arrays(file, arrays)
    read = mx.nd.load(str(tmp_path / "ours"))
    assert list(read) == ["a", "b"]
    np.testing.assert_array_equal(read["a"].asnumpy(), arrays["a"].asnumpy())


WRITE = """
import resource, sys
import mobilenet
import mxnet as mx
from mobilenet.network.params_file import write_arrays
limit = int(sys.argv[2])
arrays = {"a": mx.nd.ones((249, 1000)), "b": mx.nd.ones((1100,))}
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
if sys.argv[3] == "ours":
    with open(sys.argv[1], "wb") as file:
        write_arrays(file, arrays)
else:
    mx.nd.save(sys.argv[1], arrays)
"""


@pytest.mark.parametrize(("writer", "exit_code"), [("ours", 1), ("mxnet's", 0)])
def test_a_failed_write_is_noticed(tmp_path: Path, writer: str, exit_code: int) -> None:
    """The size limit of a process stands in for a full disk; the reason for this module."""
    path, limit = tmp_path / "arrays", 1_000_000
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] != limit
    command = [sys.executable, "-c", WRITE, str(path), str(limit), writer]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert result.returncode == exit_code, result.stderr
    assert path.stat().st_size <= limit
    if exit_code:
        assert "OSError: [Errno 27] File too large" in result.stderr


V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
VALUES = np.arange(4, dtype=np.float32).tobytes()


def array(shape: tuple[int, ...] = (4,), **other: Any) -> bytes:
    """One array as MXNet writes it, but for what is said otherwise."""
    said = {"magic": V2, "storage": 0, "dimensions": len(shape), "device": 1, "type": 0, **other}
    storage = b"" if said["magic"] == V1 else struct.pack("<i", said["storage"])
    return (
        struct.pack("<I", said["magic"])
        + storage
        + struct.pack(f"<i{len(shape)}q", said["dimensions"], *shape)
        + struct.pack("<iii", said["device"], 0, said["type"])
        + VALUES
    )


def listed(*arrays: bytes, count: int | None = None, reserved: int = 0) -> bytes:
    number = len(arrays) if count is None else count
    return struct.pack("<QQQ", 0x112, reserved, number) + b"".join(arrays)


def named(*names: bytes) -> bytes:
    texts = (struct.pack("<Q", len(name)) + name for name in names)
    return struct.pack("<Q", len(names)) + b"".join(texts)


FIRST_VERSION = struct.pack("<IIiii", 1, 4, 1, 0, 0) + VALUES


@pytest.mark.parametrize(
    "stored",
    [array(), array(magic=V1), array(magic=V3), array(device=2), FIRST_VERSION],
    ids=["as today", "version 1", "version 3", "from a GPU", "first version"],
)
def test_every_version_is_read(tmp_path: Path, stored: bytes) -> None:
    path = tmp_path / "a.params"
    path.write_bytes(listed(stored) + named(b"a"))
    (only,) = read_arrays(path).items()
    assert only[0] == "a"
    assert only[1].context == mx.cpu()
    np.testing.assert_array_equal(only[1].asnumpy(), np.arange(4))


def test_every_type_is_read_as_mxnet_reads_it(tmp_path: Path) -> None:
    types = ("float32", "float64", "float16", "uint8", "int32", "int8", "int64")
    arrays = {name: mx.nd.arange(6, dtype=name).reshape((2, 3)) for name in types}
    mx.nd.save(str(tmp_path / "a.params"), arrays)
    read = read_arrays(tmp_path / "a.params")
    assert list(read) == list(types)
    for name, values in read.items():
        assert values.dtype == np.dtype(name)
        np.testing.assert_array_equal(values.asnumpy(), arrays[name].asnumpy())


DAMAGED = {
    "a count of 2**61": listed(count=1 << 61),
    "a count of a thousand million": listed(count=10**9),
    "a reserved word": listed(array(), reserved=1) + named(b"a"),
    "a size beyond the end": listed(array((1 << 40, 1 << 10))) + named(b"a"),
    "20 GB": listed(array((5 * 10**9,))) + named(b"a"),
    "sizes whose product overflows to 0": listed(array((1 << 32, 1 << 32))) + named(b"a"),
    "sizes whose product overflows to 16": listed(array(((1 << 62) + 1, 4))) + named(b"a"),
    "a size of -4": listed(array((-4,))) + named(b"a"),
    "two negative sizes": listed(array((-2, -2))) + named(b"a"),
    "a size of 0": listed(array((0,))) + named(b"a"),
    "no dimension": listed(array(())) + named(b"a"),
    "-1 dimensions": listed(array((), dimensions=-1)) + named(b"a"),
    "2**30 dimensions": listed(array(dimensions=1 << 30)) + named(b"a"),
    "33 dimensions": listed(array((1,) * 33)) + named(b"a"),
    "type 99": listed(array(type=99)) + named(b"a"),
    "type -1": listed(array(type=-1)) + named(b"a"),
    "storage 9": listed(array(storage=9)) + named(b"a"),
    "storage -1": listed(array(storage=-1)) + named(b"a"),
    "device 77": listed(array(device=77)) + named(b"a"),
    "one name for two": listed(array(), array()) + named(b"a"),
    "a name of 2**60 bytes": listed(array()) + struct.pack("<QQ", 1, 1 << 60) + b"a",
    "a name that is no text": listed(array()) + named(b"\xff"),
    "a name twice": listed(array(), array()) + named(b"a", b"a"),
    "something behind": listed(array()) + named(b"a") + b"0",
    "huge sizes of the first version": listed(struct.pack("<IIII", 3, 1 << 31, 1 << 31, 4)),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_what_is_damaged_is_refused(tmp_path: Path, content: bytes) -> None:
    """One of these ends a process that has MXNet read it, by SIGSEGV."""
    path = tmp_path / "a.params"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"a\.params: .* damaged or cut short: "):
        read_arrays(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (listed(array()) + named(), "its arrays have no names"),
        (listed(array(storage=1)) + named(b"a"), "only dense arrays are read"),
        (listed(array(storage=2)) + named(b"a"), "only dense arrays are read"),
    ],
)
def test_what_is_whole_but_of_another_kind_is_told(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "a.params"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=rf"a\.params: {reason}"):
        read_arrays(path)


def test_of_what_is_no_file_of_parameters_little_is_read(tmp_path: Path) -> None:
    path = tmp_path / "net.params"
    with path.open("wb") as file:
        file.truncate(1 << 28)  # takes no room on the disk
    tracemalloc.start()
    try:
        with pytest.raises(WeightsError, match="not a file of MXNet parameters"):
            read_arrays(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
