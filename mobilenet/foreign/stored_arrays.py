"""Reads .safetensors and .npz files: the shapes of arrays at once, their values on demand.

Nothing is unpickled, and no array is read into memory before its shape has been checked.
"""

from __future__ import annotations

import io
import json
import math
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Callable, Sequence

import numpy as np
import numpy.typing as npt

from mobilenet.errors import WeightsError, one_line, shortened

Array = npt.NDArray[Any]
_NPY: Any = np.lib.format  # NumPy's type hints leave it out


@dataclass(frozen=True)
class Stored:
    """An array whose values may still be in a file."""

    shape: tuple[int, ...]
    read: Callable[[], Array]

    def changed(self, shape: tuple[int, ...], change: Callable[[Array], Array]) -> Stored:
        """The array after `change`, which gives the stated shape."""
        return Stored(shape, lambda: change(self.read()))

    def transposed(self, axes: tuple[int, ...]) -> Stored:
        """The array with its axes in the order `axes`."""
        return self.changed(tuple(self.shape[i] for i in axes), lambda a: a.transpose(axes))

    def reshaped(self, shape: tuple[int, ...]) -> Stored:
        """The same values in another shape."""
        return self.changed(shape, lambda a: a.reshape(shape))


# https://github.com/huggingface/safetensors, format: 8 bytes of length, JSON, values. NumPy has no
# bfloat16, which is the upper half of a float32.
_DTYPES = {
    **{f"F{8 * size}": f"<f{size}" for size in (2, 4, 8)},
    **{f"I{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"U{8 * size}": f"<u{size}" for size in (1, 2, 4, 8)},
    "BF16": "<u2",
    "BOOL": "|b1",
}
_LENGTH_BYTES = 8
# The header of a MobileNet v2 has 30 KB.
_MAX_HEADER_BYTES = 1 << 20
# The compression of numpy.savez and numpy.savez_compressed.
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# How much larger an unpacked archive may be: weights can hardly be compressed.
_MAX_GROWTH, _SMALL_BYTES = 20, 1 << 28
_MAX_NPY_HEADER_BYTES = 10_000  # NumPy's `max_header_size`


def read_safetensors(path: Path) -> dict[str, Stored]:
    """The named arrays of a safetensors file.

    Raises:
        WeightsError: The file cannot be read, is damaged or cut short.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        start = _LENGTH_BYTES + length
        if not length or length > _MAX_HEADER_BYTES or start > size:
            raise WeightsError(f"{path}: not a safetensors file, or cut short")
        text = file.read(length)
    try:
        header = json.loads(text)
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        found = {name: _located(path, start, size, entry) for name, entry in entries.items()}
        places = [entry["data_offsets"] for entry in entries.values()]
        if sum(end - begin for begin, end in places) > size - start:
            raise ValueError("arrays share their places")
        return found
    except (
        ArithmeticError,
        AttributeError,
        KeyError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise WeightsError(
            f"{path}: the header of the safetensors file is damaged, or of a kind not known here"
        ) from error
    except EOFError as error:
        raise WeightsError(f"{path}: the safetensors file is cut short") from error


def _located(path: Path, start: int, size: int, entry: dict[str, Any]) -> Stored:
    """The array that `entry` describes.

    Raises:
        ValueError: The entry contradicts itself.
        EOFError: The array extends beyond the end of the file.
    """
    shape, (begin, end) = tuple(map(int, entry["shape"])), map(int, entry["data_offsets"])
    dtype = np.dtype(_DTYPES[entry["dtype"]])
    if min(begin, *shape, 0) < 0 or end - begin != math.prod(shape) * dtype.itemsize:
        raise ValueError("the shape and the place differ")
    if start + end > size:
        raise EOFError

    def read() -> Array:
        values = np.fromfile(path, dtype, math.prod(shape), offset=start + begin).reshape(shape)
        is_bfloat = entry["dtype"] == "BF16"
        return (values.astype("<u4") << 16).view("<f4") if is_bfloat else values

    return Stored(shape, read)


def read_npz(path: Path) -> dict[str, Stored]:
    """The named arrays of a NumPy archive.

    Raises:
        WeightsError: The file is no such archive, is damaged, or holds more than plain arrays.
    """
    try:
        archive = zipfile.ZipFile(path)  # stays open as long as one of its arrays is in use
        members = archive.infolist()
        _check_growth(members, path)
        return {m.filename.removesuffix(".npy"): _member(path, archive, m) for m in members}
    except WeightsError:
        raise
    except Exception as error:  # from zipfile, zlib, or NumPy's parser of headers
        if isinstance(error, OSError):
            raise
        raise WeightsError(f"{path}: not a NumPy archive (.npz), or damaged") from error


def _check_growth(members: Sequence[zipfile.ZipInfo], path: Path) -> None:
    if any(member.compress_type not in _COMPRESSIONS for member in members):
        raise WeightsError(
            f"{path}: is not compressed as by numpy.savez_compressed; save it again with that"
        )
    num_bytes, size = sum(member.file_size for member in members), path.stat().st_size
    if num_bytes > max(_SMALL_BYTES, _MAX_GROWTH * size):
        raise WeightsError(
            f"{path}: would unpack from {size:,} to {num_bytes:,} bytes; weights hardly shrink"
        )


def _member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Stored:
    with archive.open(member) as file:
        shape, dtype, num_header_bytes = _header(file)
    name = shortened(one_line(member.filename.removesuffix(".npy")), 120)
    if dtype.hasobject:
        raise WeightsError(
            f"{path}: '{name}' holds Python objects, which are never unpickled; arrays of numbers"
            " would be right"
        )
    if num_header_bytes + math.prod(shape) * dtype.itemsize != member.file_size:
        raise WeightsError(f"{path}: '{name}' is damaged or cut short")

    def read() -> Array:
        with archive.open(member) as file:
            return np.asarray(_NPY.read_array(file, allow_pickle=False))

    return Stored(shape, read)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape and type of a `.npy` file, and the size of its header in bytes.

    Raises:
        ValueError: It is no `.npy` file, or its header is longer than a header may be.
    """
    form, read = {
        b"\x93NUMPY\1\0": ("<H", _NPY.read_array_header_1_0),
        b"\x93NUMPY\2\0": ("<I", _NPY.read_array_header_2_0),
    }[file.read(8)]
    prefix = file.read(struct.calcsize(form))
    (length,) = struct.unpack(form, prefix)
    if length > _MAX_NPY_HEADER_BYTES:
        raise ValueError(f"a header of {length} bytes")
    shape, _, dtype = read(io.BytesIO(prefix + file.read(length)))
    return shape, dtype, 8 + len(prefix) + length
