"""How long commands take to begin.

    python benchmarks/startup.py [--rounds 5]

Whole processes, in turns: Python that does nothing, `mobilenet --help`, and `mobilenet bench train`
up to the end of its third step on one image of 32 pixels, which includes the import of MXNet and
the probe of the training graph. Seconds by the wall and of processor time; medians.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python": ["-c", "pass"],
    "mobilenet --help": ["-m", "mobilenet", "--help"],
    "first steps": [
        *("-m", "mobilenet", "bench", "train"),
        *("--batch", "1", "--size", "32", "--repeats", "1"),
    ],
}


def measure(arguments: list[str]) -> tuple[float, float]:
    """Wall and processor seconds of a process."""
    start, before = time.perf_counter(), processor_seconds()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start, processor_seconds() - before


def processor_seconds() -> float:
    """Of all processes that this one has started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Prints the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, arguments in COMMANDS.items():
            times[name].append(measure(arguments))
    for name, pairs in times.items():
        wall, processor = (statistics.median(values) for values in zip(*pairs))
        print(f"{name:18}{wall:6.2f} s, {processor:5.2f} s of processor time")


if __name__ == "__main__":
    main()
