"""What limits a training step: the cores' arithmetic, the memory, or neither.

    python benchmarks/limits.py [--batch 32] [--size 224]

Prints what the machine reaches at best (a large matrix product by oneDNN with the instructions in
use; copying an array much larger than the caches), what a step reaches of it, and where the step's
time goes by operator, as MXNet's profiler has it.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Callable

import mobilenet  # noqa: F401  repairs NumPy for MXNet

# Else the profiler sees whole chains of operators as one.
os.environ["MXNET_EXEC_BULK_EXEC_TRAIN"] = "0"

# isort: split
import mxnet as mx

from mobilenet.bench import Work, random_batch, take_step
from mobilenet.network.architecture import MobileNetV2
from mobilenet.network.complexity import complexity
from mobilenet.network.graph_forms import symbol_of
from mobilenet.training.build import learner as new_learner

MATRIX = 3072
COPIED_BYTES = 1 << 30
NUM_STEPS = 3


def best_seconds(run: Callable[[], object], repeats: int = 7) -> float:
    """Of the fastest of some repeats: other work on the machine only ever adds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def arithmetic_peak() -> float:
    """Multiply-adds per second of a product of large matrices."""
    a, b = (mx.nd.random.uniform(shape=(MATRIX, MATRIX)) for _ in range(2))

    def product() -> None:
        mx.nd.FullyConnected(a, b, num_hidden=MATRIX, no_bias=True).wait_to_read()

    return MATRIX**3 / best_seconds(product)


def memory_peak() -> float:
    """Bytes read and written per second while all threads copy."""
    source = mx.nd.ones((COPIED_BYTES // 4,))
    target = mx.nd.zeros_like(source)

    def copy() -> None:
        mx.nd.negative(source, out=target)
        target.wait_to_read()

    return 2 * COPIED_BYTES / best_seconds(copy)


def operator_seconds(step: Callable[[], None]) -> Counter[str]:
    """Seconds of each operator in a step."""
    with tempfile.TemporaryDirectory() as scratch:
        mx.profiler.set_config(
            profile_imperative=True,
            profile_symbolic=True,
            aggregate_stats=True,
            filename=str(Path(scratch) / "profile.json"),  # else in the current folder
        )
        mx.profiler.set_state("run")
        for _ in range(NUM_STEPS):
            step()
        mx.nd.waitall()
        mx.profiler.set_state("stop")
        tables = json.loads(mx.profiler.dumps(reset=True, format="json"))["Time"]["operator"]
    total: Counter[str] = Counter()
    for name, row in tables.items():
        total[name] += row["Total"] / 1e3 / NUM_STEPS
    return total


def main() -> None:
    """Prints the limits and the parts of a step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=224)
    arguments = parser.parse_args()
    work = Work(arguments.batch, arguments.size)
    arithmetic, memory = arithmetic_peak(), memory_peak()
    print(
        f"matrix product: {arithmetic / 1e9:.0f} G multiply-adds/s; copy: {memory / 1e9:.1f} GB/s"
    )
    learner, batch = new_learner(work.config()), random_batch(work)
    seconds = best_seconds(lambda: take_step(learner, batch, 0))
    cost = complexity(symbol_of(MobileNetV2()), work.resolution)
    # Backward computes the gradients of inputs and of weights, each as costly as forward.
    reached = 3 * cost.multiply_adds * work.batch_size / seconds
    print(
        f"training step, {work}: {work.batch_size / seconds:.1f} images/s,"
        f" {reached / 1e9:.0f} G multiply-adds/s, {reached / arithmetic:.0%} of the matrix product"
    )
    parts = operator_seconds(lambda: take_step(learner, batch, 0))
    whole = sum(parts.values())
    for name, part in parts.most_common(8):
        print(f"  {name:36}{1e3 * part:8.0f} ms  {part / whole:5.1%}")


if __name__ == "__main__":
    main()
