"""Arrays that MXNet and NumPy share."""

from __future__ import annotations

import gc
import time
import weakref

import mxnet as mx
import numpy as np
import pytest

from mobilenet.network.device_arrays import on_device


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int64, np.uint8])
def test_has_values_type_and_device(dtype: type) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    result = on_device(array, mx.cpu())
    assert result.dtype == dtype
    assert result.context == mx.cpu()
    np.testing.assert_array_equal(result.asnumpy(), np.arange(24).reshape(2, 3, 4))


def test_is_the_same_memory() -> None:
    array = np.zeros((2, 3), np.float32)
    result = on_device(array, mx.cpu())
    result[:] = 7
    result.wait_to_read()
    assert (array == 7).all()
    assert not array.flags.writeable


def test_of_a_view_with_gaps() -> None:
    array = np.arange(24, dtype=np.float32).reshape(4, 6)[::2, ::3]
    np.testing.assert_array_equal(on_device(array, mx.cpu()).asnumpy(), [[0, 3], [12, 15]])


def test_memory_lives_until_mxnet_is_done_and_no_longer() -> None:
    array = np.full(5_000_000, 0.5, np.float32)
    alive = weakref.ref(array)
    shared = on_device(array, mx.cpu())
    total = (shared * 2).sum()
    del array, shared
    assert total.asscalar() == 5_000_000
    for _ in range(50):  # MXNet lets go on a thread of its own
        gc.collect()
        if alive() is None:
            break
        time.sleep(0.1)
    assert alive() is None
