"""Training and inference beside processes that compute all the time.

    python benchmarks/shared_machine.py train [--batch 32] [--size 128] [--busy 0 1 2] [--rounds 5]
        [--waiting NAME=VALUE ...] [--torch PYTHON]

Where another process wants a processor, OpenMP threads that spin while they wait keep it from the
threads that work. Each line is this package as it is, the same with one variable of the environment
that decides how threads wait (GOMP_SPINCOUNT=300000 is OpenMP's default), or PyTorch in single
precision, as in `benchmarks/speed.py`, each in a process of its own that ends before the next
begins. In each round every line has its turn beside every number of busy processes. A column has
the images per second, and in brackets the part of the same line's rate beside the first number; the
last has that rate against the package's as it is. Medians over the rounds, with quartiles in
parentheses.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import statistics
import subprocess
import sys
from typing import Iterator

import speed
from header import header, spread
from mobilenet_bench import mobilenet_bench
from torch_python import HELP, torch_python

PYTORCH = "PyTorch float32"


@contextlib.contextmanager
def busy_processes(number: int) -> Iterator[None]:
    """That many other processes, each of which computes on one processor all the time."""
    call = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(call) for _ in range(number)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def rate(mode: str, line: str, job: speed.Job, torch: str | None) -> float:
    """Images per second of one process."""
    if line == PYTORCH:
        return job.batch / speed.run(mode, PYTORCH, job, torch).seconds
    variable = dict([line.split("=")]) if "=" in line else {}
    sizes = {"batch": job.batch, "size": job.size, "repeats": job.repeats}
    return float(mobilenet_bench(mode, sizes, variable)["images_per_second"])


def main() -> None:
    """Prints a line per way of waiting."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mode", choices=("train", "infer"))
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=9, help="steps of a process (9)")
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1, 2], metavar="N")
    parser.add_argument("--waiting", nargs="+", default=[], metavar="NAME=VALUE")
    parser.add_argument("--torch", type=torch_python, metavar="PYTHON", help=HELP)
    given = parser.parse_args()
    job = speed.Job(given.batch, given.size, given.repeats)
    lines = ["as it is", *given.waiting, *([PYTORCH] if given.torch else [])]
    rates: dict[tuple[str, int], list[float]] = {}
    for _, busy, line in itertools.product(range(given.rounds), given.busy, lines):
        with busy_processes(busy):
            rates.setdefault((line, busy), []).append(rate(given.mode, line, job, given.torch))
    print(header())
    print(f"{given.mode}, {given.size} px, batch {given.batch}, beside N busy processes")
    first = given.busy[0]
    for line in lines:
        own, package = rates[line, first], rates["as it is", first]
        cells = [
            f"{busy}: {spread(rates[line, busy])} [{part(rates[line, busy], own):.2f}]"
            for busy in given.busy
        ]
        print(
            f"  {line:24}",
            *cells,
            f"beside {first}: x {part(own, package):.2f}",
            sep="   ",
            flush=True,
        )


def part(rates: list[float], others: list[float]) -> float:
    """The median of the ratios of each round."""
    return statistics.median(one / other for one, other in zip(rates, others))


if __name__ == "__main__":
    main()
