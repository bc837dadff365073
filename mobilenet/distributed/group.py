"""The processes that train one network together, and what they tell each other.

All of it is made of one operation that an engine provides: the sum of an array over the ranks.
Every rank calls the same methods in the same order, with arrays of the same shapes.
"""

from __future__ import annotations

from types import TracebackType
from typing import Sequence

import mxnet as mx
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Group:
    """A process that trains alone; engines derive groups of several by `_sum_in_place`.

    A context manager, within which the engine's failures become sentences.

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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Nothing to do for one process."""

    def _sum_in_place(self, key: str, buffer: mx.nd.NDArray) -> None:
        """Queues the sum over the ranks of `buffer`, which is the same array for the same key."""
        raise NotImplementedError("there is one process only")

    def _sum(self, flat: mx.nd.NDArray) -> mx.nd.NDArray:
        """Queues the sum over the ranks of an array of one dimension."""
        # The engines know a sum by its name and would confuse two of one name that are under way at
        # once. So each size has one name and one array, which makes its next sum wait.
        key = str(flat.size)
        if key not in self._buffers:
            self._buffers[key] = mx.nd.zeros_like(flat)
        buffer = self._buffers[key]
        flat.copyto(buffer)
        self._sum_in_place(key, buffer)
        return buffer.copy()

    def sum(self, arrays: Sequence[mx.nd.NDArray]) -> None:
        """Queues the replacement of every array by its sum over the ranks, in float32.

        All go as one, which costs one exchange of messages instead of one for each.
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
        """Queues the replacement of every array by its mean over the ranks."""
        if self.size == 1:
            return
        self.sum(arrays)
        for array in arrays:
            array[:] = array / self.size

    def broadcast(self, arrays: Sequence[mx.nd.NDArray]) -> None:
        """Queues the replacement of every array by that of rank 0."""
        if self.rank > 0:
            for array in arrays:
                array[:] = 0
        self.sum(arrays)

    def gather(self, values: Sequence[float]) -> Floats:
        """The values of every rank, `(size, N)`, exactly; waits for all ranks."""
        rows = self._gather_bytes(np.array(values, np.float64).tobytes())
        return np.array([np.frombuffer(row, np.float64) for row in rows])

    def _gather_bytes(self, content: bytes) -> list[bytes]:
        """What every rank gives, of the same length; waits for all ranks."""
        if self.size == 1:
            return [content]
        table = np.zeros((self.size, len(content)), np.float32)  # the engines add no bytes
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
