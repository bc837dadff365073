"""What settings of the environment do for the speed: the choices of `mobilenet.compat`, measured.

    python benchmarks/settings.py train|infer [--batch 32] [--size 224] [--rounds 5]

Runs `mobilenet bench` under each setting in turns. With the package's own settings, oneDNN is kept
to AVX2, but on Intel's processors with AVX-512, and all processors are used; each other line
changes one thing. Medians over the rounds of images per second, and their ratios to the
package's own settings in the same round, with quartiles in parentheses.
"""

from __future__ import annotations

import argparse
import os

from header import header, spread
from mobilenet_bench import mobilenet_bench

NUM_PROCESSORS = len(os.sched_getaffinity(0))
KEEP_MEMORY = ":".join(
    f"glibc.malloc.{name}={value}"
    for name, value in {
        "hugetlb": 1,
        "mmap_threshold": 1 << 33,
        "trim_threshold": 1 << 34,
        "mmap_max": 0,
    }.items()
)
SETTINGS: dict[str, dict[str, str]] = {
    "the package's own": {},
    "AVX2": {"DNNL_MAX_CPU_ISA": "AVX2"},
    "all vector instructions": {"DNNL_MAX_CPU_ISA": "ALL"},
    "half of the processors": {"OMP_NUM_THREADS": str(max(1, NUM_PROCESSORS // 2))},
    "copies by several threads": {"MXNET_CPU_PARALLEL_SIZE": "200000"},
    "glibc keeps memory": {"GLIBC_TUNABLES": KEEP_MEMORY},
    "threads bound to processors": {"OMP_PROC_BIND": "true"},
    "threads wait passively": {"OMP_WAIT_POLICY": "passive"},
    "threads wait actively": {"OMP_WAIT_POLICY": "active"},
    "large cache of primitives": {"MXNET_MKLDNN_CACHE_NUM": "1000"},
}


def main() -> None:
    """Prints a line per setting."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mode", choices=("train", "infer"))
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(header(), flush=True)
    sizes = {"batch": arguments.batch, "size": arguments.size, "repeats": 5}
    rates: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for _ in range(arguments.rounds):
        for name, setting in SETTINGS.items():
            result = mobilenet_bench(arguments.mode, sizes, setting)
            rates[name].append(result["images_per_second"])
    own = rates["the package's own"]
    for name, values in rates.items():
        ratio = spread([value / base for value, base in zip(values, own)], ".2f")
        print(f"{name:28}{spread(values):>24} images/s  x {ratio}")


if __name__ == "__main__":
    main()
