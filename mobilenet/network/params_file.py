"""Reads and writes named arrays in MXNet's NDArray format, the one of `.params` files.

MXNet's own reader trusts the file: a wrong number of dimensions, size or type crashes the process.
This reader checks every length against the bytes that are left before it uses them. `mx.nd.save`
does not notice a disk that fills up while it closes the file, and the end of the file is missing.
Here every failed write is an OSError.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import BinaryIO, Mapping

import mxnet as mx
import numpy as np

from mobilenet.errors import WeightsError

# mxnet 1.9.1, src/ndarray/ndarray.cc: the file begins with kMXAPINDArrayListMagic and a reserved
# word, each dense array with NDARRAY_V2_MAGIC and its storage type. Its shape is followed by the
# device that it was on (cpu 0).
_HEAD = struct.pack("<QQ", 0x112, 0)
_MAGIC_V1, _MAGIC_V2, _MAGIC_V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_DENSE, *_SPARSE = range(3)
_ARRAY_HEAD = struct.pack("<Ii", _MAGIC_V2, _DENSE)
_CPU = struct.pack("<ii", 1, 0)
# include/mxnet/base.h: cpu, gpu, pinned and shared memory.
_DEVICES = (1, 2, 3, 5)
# mshadow's type flags.
_TYPES = ("float32", "float64", "float16", "uint8", "int32", "int8", "int64", "bool")
_MAX_DIMENSIONS = 32  # NumPy's


def write_arrays(file: BinaryIO, arrays: Mapping[str, mx.nd.NDArray]) -> None:
    """Writes `arrays` and their names to `file`, byte for byte as `mx.nd.save` does.

    Raises:
        OSError: A write failed, for instance because the disk is full.
    """
    file.write(_HEAD + struct.pack("<Q", len(arrays)))
    for array in arrays.values():
        values = np.ascontiguousarray(array.asnumpy())
        file.write(_ARRAY_HEAD + struct.pack(f"<i{values.ndim}q", values.ndim, *values.shape))
        file.write(_CPU + struct.pack("<i", _TYPES.index(values.dtype.name)))
        file.write(values.tobytes())
    file.write(struct.pack("<Q", len(arrays)))
    for name in arrays:
        encoded = name.encode()
        file.write(struct.pack("<Q", len(encoded)) + encoded)


def read_arrays(path: Path) -> dict[str, mx.nd.NDArray]:
    """The named arrays of a `.params` file, on the CPU, by their names in the file.

    Reads files of every version of MXNet, whatever device the arrays were on.

    Raises:
        WeightsError: The file is missing, damaged, or not a list of named dense arrays.
    """
    try:
        with path.open("rb") as file:
            content = file.read(8)
            is_of_mxnet = content == _HEAD[:8]
            if is_of_mxnet:  # anything else may have gigabytes
                content += file.read()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from error
    if not is_of_mxnet:
        is_other = path.suffix != ".params"
        advice = "; `mobilenet import` makes one of other programs' weights" if is_other else ""
        raise WeightsError(f"{path}: not a file of MXNet parameters (.params){advice}")
    try:
        return _named_arrays(_Reader(content))
    except NotImplementedError as error:
        raise WeightsError(f"{path}: {error}") from error
    except ValueError as error:
        raise WeightsError(
            f"{path}: the file of parameters is damaged or cut short: {error}"
        ) from error


class _Reader:
    """Reads one value after the other from the content of a file.

    Raises:
        ValueError: Too few bytes are left, or they contradict the format.
        NotImplementedError: The format is right but not supported here.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    @property
    def bytes_left(self) -> int:
        """How many bytes have not been read yet."""
        return len(self._content) - self._at

    def skip(self, num_bytes: int) -> int:
        """Skips `num_bytes` and returns the offset of the first."""
        if num_bytes > self.bytes_left:
            raise ValueError(f"{num_bytes:,} bytes are wanted where {self.bytes_left:,} are left")
        begin, self._at = self._at, self._at + num_bytes
        return begin

    def numbers(self, form: str) -> tuple[int, ...]:
        """Little-endian numbers in a format of `struct`."""
        form = f"<{form}"
        return struct.unpack_from(form, self._content, self.skip(struct.calcsize(form)))

    def number(self, form: str) -> int:
        """One number."""
        return self.numbers(form)[0]

    def array(self) -> mx.nd.NDArray:
        """An array with its header."""
        shape = self._shape()
        device, _, flag = self.numbers("iii")
        if device not in _DEVICES:
            raise ValueError(f"an array is on a device of the kind {device}")
        if not 0 <= flag < len(_TYPES):
            raise ValueError(f"an array is of the type {flag}; {len(_TYPES) - 1} is the last")
        dtype = np.dtype(_TYPES[flag])
        begin = self.skip(math.prod(shape) * dtype.itemsize)
        values = np.frombuffer(self._content, dtype, math.prod(shape), begin).reshape(shape)
        return mx.nd.array(values, dtype=dtype)

    def _shape(self) -> tuple[int, ...]:
        """The shape of an array; the first versions of MXNet wrote its sizes in 32 bits."""
        magic = self.number("I")
        if magic in (_MAGIC_V2, _MAGIC_V3):
            storage = self.number("i")
            if storage in _SPARSE:
                raise NotImplementedError("only dense arrays are read, and it has sparse ones")
            if storage != _DENSE:
                raise ValueError(f"an array has the storage {storage}")
        is_first_version = magic not in (_MAGIC_V1, _MAGIC_V2, _MAGIC_V3)
        num_dimensions = magic if is_first_version else self.number("i")
        if not 0 < num_dimensions <= _MAX_DIMENSIONS:
            raise ValueError(f"an array has {num_dimensions} dimensions")
        shape = self.numbers(f"{num_dimensions}{'I' if is_first_version else 'q'}")
        if min(shape) < 1:
            raise ValueError(f"an array has the shape {shape}")
        return shape

    def name(self) -> str:
        """A name, which follows its length."""
        length = self.number("Q")
        begin = self.skip(length)
        return self._content[begin : begin + length].decode()


def _named_arrays(reader: _Reader) -> dict[str, mx.nd.NDArray]:
    if reader.numbers("QQ") != struct.unpack("<QQ", _HEAD):
        raise ValueError("the reserved word is not 0")
    arrays = [reader.array() for _ in range(reader.number("Q"))]
    num_names = reader.number("Q")
    if arrays and not num_names:
        raise NotImplementedError("its arrays have no names")
    if num_names != len(arrays):
        raise ValueError(f"it has {num_names} names for {len(arrays)} arrays")
    named = {reader.name(): array for array in arrays}
    if len(named) < len(arrays):
        raise ValueError("two arrays have the same name")
    if reader.bytes_left:
        raise ValueError(f"{reader.bytes_left:,} bytes are left behind the last name")
    return named
