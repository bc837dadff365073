"""Computes single images in batches: those that wait while one batch is computed are the next."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Callable

import numpy as np
import numpy.typing as npt

from mobilenet.metrics import Predict

Input = npt.NDArray[np.float32]
"""The network's input (3, H, W)."""
Output = npt.NDArray[np.float32]
"""The network's output (classes,)."""

_Waiting = tuple[Input, "asyncio.Future[Output]"]


class Batches:
    """Gives the output for one image, which it computes together with others that wait.

    No image waits for others to come: an idle network takes it alone, and a busy one finds a batch
    of those that have come meanwhile.

    Args:
        predict: Runs the network; it is called in one thread only.
        max_size: Images of a batch, at most.
        note_size: Is told the size of every batch.
    """

    def __init__(self, predict: Predict, max_size: int, note_size: Callable[[int], None]) -> None:
        self._predict = predict
        self._max_size = max_size
        self._note_size = note_size
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()

    @property
    def num_waiting(self) -> int:
        """Images that wait for the network."""
        return self._queue.qsize()

    async def output(self, image: Input) -> Output:
        """The network's output; raises what the network raises for the batch."""
        future: asyncio.Future[Output] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((image, future))
        return await future

    async def run(self) -> None:
        """Computes batches until it is cancelled."""
        with ThreadPoolExecutor(1, "network") as thread:
            while True:
                batch = self._without_given_up([await self._queue.get()])
                while len(batch) < self._max_size and not self._queue.empty():
                    batch += self._without_given_up([self._queue.get_nowait()])
                if batch:
                    await self._compute(batch, thread)

    @staticmethod
    def _without_given_up(waiting: list[_Waiting]) -> list[_Waiting]:
        """Leaves out images whose request has waited too long."""
        return [one for one in waiting if not one[1].done()]

    async def _compute(self, batch: list[_Waiting], thread: ThreadPoolExecutor) -> None:
        self._note_size(len(batch))
        images = np.stack([image for image, _ in batch])
        loop = asyncio.get_running_loop()
        try:
            outputs = await loop.run_in_executor(thread, self._predict, images)
        except Exception as error:  # each request of the batch reports it
            for _, future in self._without_given_up(batch):
                future.set_exception(error)
        else:
            for (_, future), output in zip(batch, outputs):
                if not future.done():
                    future.set_result(output)
