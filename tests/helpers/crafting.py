"""Crafts files that are nearly right and has them read: what the programs crafted_*.py share.

Each of them is called in a process of its own:

    python crafted_KINDS.py FOLDER KIND COUNT SEED

It ends with exit code 0 if each of COUNT crafted files was read or refused in a sentence; it says
which one was not, and at last the peak of the memory in MB.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator, Sequence

import numpy as np

from mobilenet.errors import UserError

EXTREMES = (0, 1, -1, 2, 255, 1 << 15, 1 << 31, (1 << 31) - 1, 1 << 40, (1 << 63) - 1, -(1 << 63))
MAX_MEGABYTES = 1000
# Where formats have what says how long the rest is.
_HEAD_BYTES, _TAIL_BYTES = 4096, 16_384
_SECONDS_EACH = 60.0  # of a processor

Random = np.random.Generator


def one_of(items: Sequence[Any], random: Random) -> Any:
    return items[int(random.integers(len(items)))]


def spoilt(content: bytes, random: Random) -> bytes:
    """The content with a few bytes changed, most of them where lengths stand, or cut short."""
    spoilt_ = bytearray(content)
    for _ in range(random.integers(1, 4)):
        size = len(spoilt_)
        parts = ((0, min(_HEAD_BYTES, size)), (max(0, size - _TAIL_BYTES), size), (0, size))
        place = int(random.integers(*one_of(parts, random))) if size else 0
        how = random.integers(4)
        if how == 0 and size:
            spoilt_[place] ^= 1 << int(random.integers(8))
        elif how == 1:
            length = int(random.choice([4, 8]))
            value = one_of(EXTREMES, random) & ((1 << 8 * length) - 1)
            spoilt_[place : place + length] = value.to_bytes(length, "little")
        elif how == 2:
            spoilt_[place : place + 1] = spoilt_[place : place + int(random.integers(200))]
        else:
            spoilt_[place:] = spoilt_[place : place + int(random.integers(len(content)))]
    return bytes(spoilt_)


def told(read: Callable[[], object]) -> None:
    """Reads, or is refused in one line."""
    try:
        read()
    except UserError as error:
        assert "\n" not in str(error), error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Lets the package say nothing, which is megabytes for a thousand files."""
    with contextlib.ExitStack() as stack:
        nowhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        stack.enter_context(contextlib.redirect_stdout(nowhere))
        stack.enter_context(contextlib.redirect_stderr(nowhere))
        yield


def peak() -> int:
    """The largest memory that this process had, in MB."""
    # Not ru_maxrss, which a process inherits from the one that started it.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def craft_and_read(craft: Callable[[Random, int], None], read: Callable[[], object]) -> None:
    """Crafts files by `craft`, which is told the number of each, and has each read."""
    kind, count, seed = sys.argv[2], *map(int, sys.argv[3:])
    for number in range(count):
        # Each by itself, so that one can be made again without those before it.
        craft(np.random.default_rng((seed, number)), number)
        sys.stdout.write(f"{kind} {number} of seed {seed}: {peak()} MB before\n")
        sys.stdout.flush()
        signal.setitimer(signal.ITIMER_PROF, _SECONDS_EACH)
        told(read)
        signal.setitimer(signal.ITIMER_PROF, 0)
    sys.stdout.write(f"{peak()}\n")


def assert_read_or_refused(program: str, folder: Path, kind: str, count: int, seed: int) -> None:
    """Runs the program of that name beside this file."""
    path = Path(__file__).with_name(f"{program}.py")
    command = [sys.executable, str(path), str(folder), kind, str(count), str(seed)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    last = (done.stdout.splitlines() or [""])[-1]
    assert done.returncode == 0, f"{last}: exit code {done.returncode}\n{done.stderr[-4000:]}"
    assert int(last) < MAX_MEGABYTES
