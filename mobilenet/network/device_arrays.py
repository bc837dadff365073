"""From NumPy to MXNet."""

from __future__ import annotations

from typing import Any

import mxnet as mx
import numpy as np
import numpy.typing as npt


def on_device(array: npt.NDArray[Any], context: mx.Context) -> mx.nd.NDArray:
    """The values of `array` as an NDArray on the device `context`.

    On the CPU it is the same memory, kept alive for as long as MXNet needs it, and `array` becomes
    read-only; `mx.nd.array` would copy it into memory that the system first has to clear.
    """
    shared = mx.nd.from_numpy(np.ascontiguousarray(array), zero_copy=True)
    return shared.as_in_context(context)
