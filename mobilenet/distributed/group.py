"""Communication between the processes (ranks) that train one network together.

All operations are made of one that an engine provides: the sum of an array over the ranks. Every
rank calls the same methods in the same order, with arrays of the same shapes.
"""

from __future__ import annotations

from types import TracebackType
from typing import Sequence

import mxnet as mx
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Group:
    """A group of one process; engines derive larger groups by `_sum_in_place`.

    A context manager: inside its block, failures of the engine become errors of this package.
    "Queues" means that MXNet's engine does the work later, in order; reading an array waits.

    Attributes:
        rank: Number of this process, from 0.
        size: Number of processes.
    """

    rank = 0
    size = 1

    def __init__(self) -> None:
        self._buffers: dict[str, mx.nd.NDArray] = {}

    def __enter__(self) -> Group:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: TracebackType | None) -> None:
        if error is not None:
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        """Called if the block of the context manager fails; a single process does nothing."""

    def _sum_in_place(self, key: str, buffer: mx.nd.NDArray) -> None:
        """Queues the sum of `buffer` over the ranks; a key always has the same buffer."""
        raise NotImplementedError("there is one process only")

    def _sum(self, flat: mx.nd.NDArray) -> mx.nd.NDArray:
        """Queues the sum of a one-dimensional array over the ranks."""
        # The engines identify a sum by its name and would confuse two of the same name at the same
        # time. So each size has one name and one buffer, which makes the next sum wait.
        key = str(flat.size)
        if key not in self._buffers:
            self._buffers[key] = mx.nd.zeros_like(flat)
        buffer = self._buffers[key]
        flat.copyto(buffer)
        self._sum_in_place(key, buffer)
        return buffer.copy()

    def sum(self, arrays: Sequence[mx.nd.NDArray]) -> None:
        """Queues replacing every array by its sum over the ranks, computed in float32.

        All arrays are sent as one, which takes a single exchange of messages.
        """
        if self.size == 1:
            return
        context = arrays[0].context
        parts = [a.as_in_context(context).reshape(-1).astype("float32", copy=False) for a in arrays]
        total = self._sum(mx.nd.concat(*parts, dim=0))
        start = 0
        for array in arrays:
            part = total[start : start + array.size]
            part.astype(array.dtype, copy=False).reshape(array.shape).copyto(array)
            start += array.size

    def mean(self, arrays: Sequence[mx.nd.NDArray]) -> None:
        """Queues replacing every array by its mean over the ranks."""
        if self.size == 1:
            return
        self.sum(arrays)
        for array in arrays:
            array[:] = array / self.size

    def broadcast(self, arrays: Sequence[mx.nd.NDArray]) -> None:
        """Queues replacing every array by that of rank 0."""
        if self.rank > 0:
            for array in arrays:
                array[:] = 0
        self.sum(arrays)

    def gather(self, values: Sequence[float]) -> Floats:
        """The N values of every rank, exactly, as `(size, N)`; waits for all ranks."""
        rows = self._gather_bytes(np.array(values, np.float64).tobytes())
        return np.array([np.frombuffer(row, np.float64) for row in rows])

    def _gather_bytes(self, content: bytes) -> list[bytes]:
        """The bytes of every rank, of the same length on all; waits for all ranks."""
        if self.size == 1:
            return [content]
        table = np.zeros((self.size, len(content)), np.float32)  # the engines cannot add bytes
        table[self.rank] = np.frombuffer(content, np.uint8)
        total = self._sum(mx.nd.array(table.ravel())).asnumpy().reshape(table.shape)
        return [row.tobytes() for row in total.astype(np.uint8)]

    def total(self, values: Sequence[float]) -> list[float]:
        """The sums of the values over the ranks; waits for all ranks."""
        totals: list[float] = self.gather(values).sum(axis=0).tolist()
        return totals

    def highest(self, value: float) -> float:
        """The highest value of any rank; waits for all ranks."""
        return float(self.gather([value]).max())

    def broadcast_text(self, text: str) -> str:
        """The text of rank 0; waits for all ranks."""
        if self.size == 1:
            return text
        content = text.encode() if self.rank == 0 else b""
        length = int(self.highest(len(content)))
        return self._gather_bytes(content.ljust(length))[0].decode()

    def barrier(self) -> None:
        """Waits for all ranks."""
        self.gather([0])


ALONE = Group()
