"""Batches of waiting images: their sizes, images that are given up, and a network that fails."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
import pytest

from mobilenet.serving.batches import Batches, Input


class Network:
    """Doubles images; waits in each batch until it is let go."""

    def __init__(self) -> None:
        self.may_go = threading.Event()
        self.threads: set[str] = set()
        self.sizes: list[int] = []

    def __call__(self, images: Input) -> Any:
        assert self.may_go.wait(20)
        self.threads.add(threading.current_thread().name)
        if (images < 0).any():
            raise ValueError("it fails")
        return 2 * images[:, :, 0, 0]


def image(value: float) -> Input:
    return np.full((3, 1, 1), value, np.float32)


async def computed(network: Network, values: list[float], given_up: int = -1) -> list[Any]:
    """The results for all values, which wait together while the first one is computed."""
    batches = Batches(network, 4, network.sizes.append)
    running = asyncio.ensure_future(batches.run())
    tasks = [asyncio.ensure_future(batches.output(image(values[0])))]
    await asyncio.sleep(0.05)
    tasks += [asyncio.ensure_future(batches.output(image(value))) for value in values[1:]]
    await asyncio.sleep(0.05)
    assert batches.num_waiting == len(values) - 1
    if given_up >= 0:
        tasks[given_up].cancel()
        await asyncio.sleep(0)
    network.may_go.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert batches.num_waiting == 0
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return found


def test_those_that_wait_are_the_next_batch() -> None:
    network = Network()
    found = asyncio.run(computed(network, [float(value) for value in range(10)]))
    assert [output.tolist() for output in found] == [[2.0 * value] * 3 for value in range(10)]
    assert network.sizes == [1, 4, 4, 1]
    assert len(network.threads) == 1
    assert threading.current_thread().name not in network.threads


def test_what_nobody_waits_for_is_not_computed() -> None:
    network = Network()
    found = asyncio.run(computed(network, [0, 1, 2, 3, 4, 5], given_up=2))
    assert isinstance(found.pop(2), asyncio.CancelledError)
    assert [output[0] for output in found] == [0, 2, 6, 8, 10]
    assert network.sizes == [1, 4]


def test_a_batch_that_fails_does_not_end_the_work() -> None:
    network = Network()
    found = asyncio.run(computed(network, [0, 1, -1, 3, 4, 5, 6]))
    assert [isinstance(output, ValueError) for output in found] == [
        *(False, True, True, True, True, False, False)
    ]


@pytest.mark.parametrize("number", [1, 100])
def test_nothing_waits_in_an_idle_network(number: int) -> None:
    async def one_after_the_other() -> list[int]:
        network = Network()
        network.may_go.set()
        batches = Batches(network, 4, network.sizes.append)
        running = asyncio.ensure_future(batches.run())
        for value in range(number):
            assert (await asyncio.wait_for(batches.output(image(value)), 5))[0] == 2 * value
        running.cancel()
        return network.sizes

    assert asyncio.run(one_after_the_other()) == [1] * number
