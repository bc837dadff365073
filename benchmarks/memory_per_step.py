"""How much memory a training step leaves behind: a whole Learner over many steps, in KiB a step.

    python benchmarks/memory_per_step.py [--width 0.5] [--resolution 32] [--batch 8] [--steps 1000]

The resident memory is read after each fifth of the steps, and the median growth counts: now and
then an allocator takes a megabyte at once, which is no leak. A run of ImageNet has 750,000 steps:
1 KiB a step is 0.75 GB at its end.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import mobilenet  # noqa: F401  # isort: skip  makes MXNet importable
import mxnet as mx
import numpy as np

from mobilenet import settings
from mobilenet.data.batch_reader import Batch
from mobilenet.settings.schema import Config
from mobilenet.training.build import learner as learner_of

WARM_UP_STEPS = 100
NUM_PARTS = 5
CLASSES = 10


def resident_kib() -> int:
    """The resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def growth(width: float, resolution: int, batch_size: int, num_steps: int) -> float:
    """KiB that stay after each step."""
    text = f"""
        model: {{width_multiplier: {width}, classes: {CLASSES}}}
        data: {{resolution: {resolution}}}
        training: {{batch_size: {batch_size}}}
    """
    learner = learner_of(settings.loads(Config, text, "the benchmark's settings"))
    random = np.random.default_rng(0)
    resident = []
    for step in range(WARM_UP_STEPS + num_steps + 1):
        if step >= WARM_UP_STEPS and (step - WARM_UP_STEPS) % (num_steps // NUM_PARTS) == 0:
            mx.nd.waitall()
            resident.append(resident_kib())
        # Always the same ones would be learnt by heart, and tiny gradients are slow.
        images = random.standard_normal((batch_size, 3, resolution, resolution), np.float32)
        labels = random.integers(0, CLASSES, batch_size).astype(np.int32)
        learner.step(Batch(images, labels, np.arange(batch_size)), step, 0.001).read()
    return float(np.median(np.diff(resident))) * NUM_PARTS / num_steps


def main() -> None:
    """Prints the growth of one network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=float, default=0.5)
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=1000)
    given = parser.parse_args()
    kib = growth(given.width, given.resolution, given.batch, given.steps)
    print(
        f"width {given.width:g}, {given.resolution} px, batch {given.batch}: {kib:.3f} KiB a step"
    )


if __name__ == "__main__":
    main()
