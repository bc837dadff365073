"""The order of the records in an epoch, and the random numbers for their augmentation.

Everything here is a pure function of (seed, epoch, record), computed by 64-bit integer arithmetic.
So the records and their random numbers are the same in a resumed run, with any number of workers
and processes, any version of NumPy, and on any machine.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# Increment and output function of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom
# number generators", OOPSLA 2014, with the constants of Stafford's variant 13).
_INCREMENT = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))

# Purposes of a key, so that the order of an epoch and its augmentation have independent numbers.
_ORDER, _AUGMENTATION = 0, 1

UInt64s = npt.NDArray[np.uint64]


def epoch_order(num_records: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """The permutation of 0 .. num_records - 1 in which an epoch reads the records.

    The records are sorted by a 64-bit hash of (seed, epoch, record).
    """
    hashes = _hash(seed, epoch, _ORDER, np.arange(num_records))
    return np.argsort(hashes, kind="stable").astype(np.int64, copy=False)


def augmentation_draws(
    seed: int, epoch: int, records: npt.NDArray[np.int64], num_draws: int
) -> npt.NDArray[np.float64]:
    """Uniform random numbers in [0, 1), shaped (N, num_draws), one row for each of N records.

    A row depends only on its record: it is the SplitMix64 stream that starts at the hash of (seed,
    epoch, record). A longer row begins like a shorter one.
    """
    states = _hash(seed, epoch, _AUGMENTATION, records)[:, None]
    steps = np.arange(1, num_draws + 1, dtype=np.uint64) * _INCREMENT
    return (_scramble(states + steps) >> np.uint64(11)) * 2.0**-53


def _hash(seed: int, epoch: int, purpose: int, records: npt.NDArray[np.int64]) -> UInt64s:
    key = np.zeros(1, np.uint64)
    for word in (seed, epoch, purpose):
        key = _scramble((key ^ np.uint64(word)) + _INCREMENT)
    return _scramble((key ^ records.astype(np.uint64)) + _INCREMENT)


def _scramble(values: UInt64s) -> UInt64s:
    """A bijection of the 64-bit integers that maps neighbours to unrelated values."""
    for factor, shift in zip(_FACTORS, _SHIFTS):
        values = (values ^ (values >> shift)) * factor
    return values ^ (values >> _SHIFTS[2])
