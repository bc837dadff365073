"""Writes named arrays in MXNet's NDArray format, the one of `.params` files, byte for byte.

`mx.nd.save` does not notice when the disk fills up while it closes the file: the end is missing and
nothing is raised. Here every failed write is an OSError that says why.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Mapping

import mxnet as mx
import numpy as np

# mxnet 1.9.1, src/ndarray/ndarray.cc: kMXAPINDArrayListMagic and a reserved word, before each dense
# array NDARRAY_V2_MAGIC and its storage type, after its shape the device that it was on (cpu 0).
_HEAD = struct.pack("<QQ", 0x112, 0)
_ARRAY_HEAD = struct.pack("<Ii", 0xF993FAC9, 0)
_CPU = struct.pack("<ii", 1, 0)
# mshadow's type flags.
_TYPE_FLAGS = {"float32": 0, "float64": 1, "float16": 2}


def write_arrays(file: BinaryIO, arrays: Mapping[str, mx.nd.NDArray]) -> None:
    """Writes `arrays` and their names to `file`.

    Raises:
        OSError: The disk is full, or the like.
    """
    file.write(_HEAD + struct.pack("<Q", len(arrays)))
    for array in arrays.values():
        values = np.ascontiguousarray(array.asnumpy())
        file.write(_ARRAY_HEAD + struct.pack(f"<i{values.ndim}q", values.ndim, *values.shape))
        file.write(_CPU + struct.pack("<i", _TYPE_FLAGS[values.dtype.name]))
        file.write(values.tobytes())
    file.write(struct.pack("<Q", len(arrays)))
    for name in arrays:
        encoded = name.encode()
        file.write(struct.pack("<Q", len(encoded)) + encoded)
