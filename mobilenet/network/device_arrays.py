"""Gives NumPy arrays to MXNet without copying them on the CPU."""

from __future__ import annotations

from typing import Any

import mxnet as mx
import numpy as np
import numpy.typing as npt


def on_device(array: npt.NDArray[Any], context: mx.Context) -> mx.nd.NDArray:
    """The values of `array` as an NDArray on the device `context`.

    On the CPU both share the memory, which lives as long as MXNet needs it, and `array` becomes
    read-only. `mx.nd.array` would copy it into newly allocated memory.
    """
    shared = mx.nd.from_numpy(np.ascontiguousarray(array), zero_copy=True)
    return shared.as_in_context(context)
