"""Order of an epoch and random numbers of its records, against SplitMix64 in plain integers."""

from __future__ import annotations

from itertools import islice
from typing import Iterator

import numpy as np
import pytest

from mobilenet.data.epoch_order import augmentation_draws, epoch_order

MASK = (1 << 64) - 1


def mixed(value: int) -> int:
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def splitmix64(state: int) -> Iterator[int]:
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        yield mixed(state)


def hash_of(*words: int) -> int:
    key = 0
    for word in words:
        key = next(splitmix64(key ^ word))
    return key


def test_oracle_gives_the_published_outputs() -> None:
    assert list(islice(splitmix64(1234567), 5)) == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@pytest.mark.parametrize(("seed", "epoch"), [(0, 0), (0, 1), (7, 0), (2**40, 479)])
def test_order_sorts_by_hash(seed: int, epoch: int) -> None:
    expected = sorted(range(500), key=lambda record: hash_of(seed, epoch, 0, record))
    assert epoch_order(500, seed, epoch).tolist() == expected


def test_draws_are_the_stream_of_the_record() -> None:
    records = np.array([0, 3, 1_281_166])
    draws = augmentation_draws(5, 2, records, 6)
    for row, record in zip(draws, records.tolist()):
        stream = islice(splitmix64(hash_of(5, 2, 1, record)), 6)
        assert row.tolist() == [(value >> 11) / 2**53 for value in stream]


def test_draws_depend_on_nothing_but_their_record() -> None:
    everything = augmentation_draws(1, 2, np.arange(100), 54)
    some = augmentation_draws(1, 2, np.array([42, 7]), 10)
    np.testing.assert_array_equal(some, everything[[42, 7], :10])


def test_order_is_a_permutation_and_differs_between_epochs_and_seeds() -> None:
    orders = [epoch_order(1000, seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    for order in orders:
        assert order.dtype == np.int64
        np.testing.assert_array_equal(np.sort(order), np.arange(1000))
    assert len({order.tobytes() for order in orders}) == 4


def test_orders_are_uniform_and_unrelated() -> None:
    """Over 400 epochs, how often each of 20 records is first, and how far orders correlate."""
    orders = np.array([epoch_order(20, 3, epoch) for epoch in range(400)])
    firsts = np.bincount(orders[:, 0], minlength=20)
    assert ((firsts - 20) ** 2 / 20).sum() < 43.8  # chi-square, 19 degrees of freedom, p = 0.001
    correlations = [np.corrcoef(a, b)[0, 1] for a, b in zip(orders, orders[1:])]
    assert abs(np.mean(correlations)) < 4 / np.sqrt(19 * 399)


def test_draws_are_uniform_and_unrelated() -> None:
    draws = augmentation_draws(0, 0, np.arange(4000), 54)
    assert draws.min() >= 0
    assert draws.max() < 1
    for values in (draws.ravel(), draws[:, 0], draws[:, 53]):
        expected = values.size / 64
        counts = np.bincount((values * 64).astype(int), minlength=64)
        assert ((counts - expected) ** 2 / expected).sum() < 103.5  # 63 degrees, p = 0.001
    neighbours = np.corrcoef(draws.T)
    np.fill_diagonal(neighbours, 0)
    assert np.abs(neighbours).max() < 5 / np.sqrt(4000)
