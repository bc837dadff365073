"""How speed and memory grow with batch, resolution, width and threads, as a table and a plot.

    python benchmarks/growth.py docs/pictures/growth.svg [--repeats 5]

Every point is a process of its own: `mobilenet bench train` and `infer` along one axis at a time,
with one thread and with all. What does not vary is width 1.0, 128 px and a batch of 32; along the
resolutions the batch is 16. The memory is the peak of the whole process.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from mobilenet_bench import mobilenet_bench

AXES = {
    "batch": (1, 2, 4, 8, 16, 32, 64, 128),
    "size": (96, 128, 160, 192, 224, 256, 288, 320),
    "width": (0.25, 0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
}
LABELS = {
    "batch": "images per batch (128 px)",
    "size": "pixels (batch 16)",
    "width": "width multiplier (128 px, batch 32)",
}
USUAL = {
    "batch": {"size": 128},
    "size": {"batch": 16},
    "width": {"size": 128, "batch": 32},
}
THREADS = (1, len(os.sched_getaffinity(0)))
MODES = ("train", "infer")
COLOURS = {"train": "#c44e52", "infer": "#4c72b0"}


class Line(NamedTuple):
    """What the points of a line have in common."""

    axis: str
    mode: str
    threads: int


Results = "dict[Line, list[dict[str, Any]]]"


def measure(line: Line, value: float, repeats: int) -> dict[str, Any]:
    """The speed and the memory at one point."""
    sizes = {**USUAL[line.axis], line.axis: value, "repeats": repeats}
    result = mobilenet_bench(line.mode, sizes, {"OMP_NUM_THREADS": str(line.threads)})
    row = f"{line.mode}, {line.threads} threads, {line.axis} {value:g}"
    speed, peak = result["images_per_second"], result["peak_memory_bytes"]
    print(f"{row:36}{speed:8.1f} images/s{peak / 1e9:7.2f} GB", flush=True)
    return result


def plot(results: Results, path: Path) -> None:
    """Speed above, memory below, an axis per column."""
    figure = Figure(figsize=(11, 6), layout="constrained")
    panels = figure.subplots(2, len(AXES), sharex="col", sharey="row")
    for line, points in results.items():
        column = list(AXES).index(line.axis)
        style = {"color": COLOURS[line.mode], "ls": ("--", "-")[line.threads > 1], "marker": "."}
        label = f"{line.mode}, {line.threads} thread{'s' * (line.threads > 1)}"
        for panel, key, unit in (
            (panels[0, column], "images_per_second", 1),
            (panels[1, column], "peak_memory_bytes", 1e9),
        ):
            values = [point[key] / unit for point in points]
            panel.plot(AXES[line.axis], values, label=label, **style)
            panel.set(xscale="log", yscale="log")
            panel.set_xticks(AXES[line.axis], [f"{value:g}" for value in AXES[line.axis]])
            panel.minorticks_off()
            panel.grid(alpha=0.3)
        panels[1, column].set_xlabel(LABELS[line.axis])
    panels[0, 0].set_ylabel("images per second")
    panels[1, 0].set_ylabel("peak memory, GB")
    panels[0, 0].legend()
    figure.savefig(path)


def main() -> None:
    """Measures every point and draws them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", type=Path, help="file for the plot")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    lines = [Line(axis, mode, threads) for axis in AXES for mode in MODES for threads in THREADS]
    results = {
        line: [measure(line, value, arguments.repeats) for value in AXES[line.axis]]
        for line in lines
    }
    plot(results, arguments.picture)


if __name__ == "__main__":
    main()
