"""Time and traffic of a training step by the number of processes that share its batch.

    mobilenet launch --local N -- benchmarks/workers.py kvstore
    python -m mobilenet.distributed.horovodrun --gloo -np N python benchmarks/workers.py horovod

Prints a line: seconds per step, seconds per sum of the gradients alone, and the megabytes that a
step sends over the loopback interface, all processes together. Medians; everything on one machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Callable

import mobilenet  # noqa: F401  makes MXNet importable

# isort: split

import mxnet as mx
import numpy as np

from mobilenet import build, settings
from mobilenet.data.batch_reader import Batch
from mobilenet.distributed.group import Group
from mobilenet.settings.schema import Config
from mobilenet.training.build import learner as new_learner

GLOBAL_BATCH, RESOLUTION, NUM_STEPS = 64, 64, 10


def sent_bytes() -> int:
    """By the loopback interface since the machine started."""
    lines = Path("/proc/net/dev").read_text().splitlines()
    (line,) = (line for line in lines if line.strip().startswith("lo:"))
    return int(line.split(":")[1].split()[8])


def measure(group: Group, work: Callable[[int], object]) -> tuple[float, float]:
    """Median seconds, and mean megabytes, of what all processes do at once."""
    work(0)
    seconds = []
    group.barrier()
    before = sent_bytes()
    for number in range(NUM_STEPS):
        start = time.perf_counter()
        work(number)
        mx.nd.waitall()
        seconds.append(time.perf_counter() - start)
    group.barrier()
    return statistics.median(seconds), (sent_bytes() - before) / NUM_STEPS / 1e6


def main(engine: str) -> None:
    """Measures in every process; the first one speaks."""
    config = settings.loads(Config, "", "benchmark", [f"distributed.engine={engine}"])
    with build.group(config) as group:
        learner, size = new_learner(config, group), GLOBAL_BATCH // group.size
        random = np.random.default_rng(group.rank)
        images = random.standard_normal((size, 3, RESOLUTION, RESOLUTION)).astype(np.float32)
        labels = random.integers(0, 1000, size).astype(np.int32)
        batch = Batch(images, labels, np.arange(size))
        step_seconds, step_megabytes = measure(group, lambda n: learner.step(batch, n, 0.01).read())
        names = learner.groups()["optimizer"]  # one array for each that has a gradient
        gradients = [mx.nd.ones(array.shape) for array in names.values()]
        sum_seconds, sum_megabytes = measure(group, lambda _: group.sum(gradients))
        if group.rank == 0:
            print(
                f"{engine}, {group.size} processes: step {step_seconds:.3f} s,"
                f" {step_megabytes:.1f} MB; sum {sum_seconds:.3f} s, {sum_megabytes:.1f} MB of"
                f" {sum(array.size for array in gradients) * 4e-6:.1f} MB of gradients"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("engine", choices=("kvstore", "horovod"))
    main(parser.parse_args().engine)
