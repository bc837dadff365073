"""What the ranks of a group tell each other, checked by every one of them; run by a launcher."""

from __future__ import annotations

import sys

import mobilenet  # noqa: F401  makes MXNet importable

# isort: split

import mxnet as mx
import numpy as np
import pytest

from mobilenet import build, settings
from mobilenet.distributed.rank_consistency import check_consistency
from mobilenet.errors import ConfigError
from mobilenet.settings.schema import Config


def exercise(engine: str, num_workers: int) -> None:
    asked = [f"distributed.engine={engine}", f"distributed.workers={num_workers}"]
    with build.group(settings.loads(Config, "", "empty", asked)) as group:
        rank, size = group.rank, group.size
        assert size == num_workers

        arrays = [mx.nd.full((3, 2), rank + 1), mx.nd.full((4,), 10 * rank, dtype="float16")]
        group.sum(arrays)
        np.testing.assert_array_equal(arrays[0].asnumpy(), np.full((3, 2), sum(range(size + 1))))
        np.testing.assert_array_equal(arrays[1].asnumpy(), np.full(4, 10 * sum(range(size))))
        assert arrays[1].dtype == np.float16

        mean, own = mx.nd.array([rank, 1]), mx.nd.array([rank + 5, rank])
        group.mean([mean])
        group.broadcast([own])
        np.testing.assert_allclose(mean.asnumpy(), [(size - 1) / 2, 1])
        np.testing.assert_array_equal(own.asnumpy(), [5, 0])

        fine = 2.0**52 + rank  # no float32
        assert group.gather([fine, 1 / 3]).tolist() == [[2.0**52 + r, 1 / 3] for r in range(size)]
        assert group.total([2**40 + 1]) == [size * (2**40 + 1)]
        assert group.highest(-rank) == 0
        assert group.broadcast_text(f"rank {rank}: ä") == "rank 0: ä"

        # One under way does not wait for another of the same shape to be read.
        flying = [mx.nd.full((2,), rank + n) for n in range(20)]
        for array in flying:
            group.sum([array])
        for n, array in enumerate(flying):
            assert array[0].asscalar() == sum(range(size)) + n * size

        same, last = {"mobilenet version": "1", "training.seed": 0}, rank == size - 1
        check_consistency(group, same)
        for what, facts in (
            ("training.seed", {**same, "training.seed": int(last)}),
            # Another number of facts on one of the ranks, with its reason or without.
            ("mobilenet version", {"mobilenet version": "2"} if last else same),
            ("list of settings and records", {**same, "val.rec": "x"} if last else same),
        ):
            sentence = f"rank {size - 1} of {size} has another {what} than rank 0"
            with pytest.raises(ConfigError, match=sentence):
                check_consistency(group, facts)
        sys.stdout.write(f"fine {rank}\n")


exercise(sys.argv[1], int(sys.argv[2]))
