"""Lets OpenMP's waiting threads sleep sooner while other processes want the processors.

Waiting threads spin, because waking one takes longer than most gaps between two operators last.
Beside a busy process, they keep processors from the threads that work. How long they spin is fixed
when libgomp is loaded; but it spins for 1,000 rounds at most while it has more threads than
processors (`do_spin` in libgomp/config/linux/wait.h). So while others are busy, a second team of
threads is kept, which does nothing. `benchmarks/shared_machine.py` shows what it is good for.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import time
from pathlib import Path
from typing import Iterator, NamedTuple, Optional

from mobilenet.compat.environment import is_launched, num_threads, set_by_package

_STATISTICS = Path("/proc/stat")
# The columns of a processor's line before and after those of its idle time.
_BUSY = (slice(1, 4), slice(6, 9))


class ProcessorTime(NamedTuple):
    """Seconds up to an instant: of the clock, and of this process's processors."""

    clock: float
    of_all: float
    of_this_process: float


def processor_time(statistics: Path = _STATISTICS) -> ProcessorTime:
    """The time for which anybody, and this process, have used the processors of this process.

    Raises:
        OSError: The system does not say.
    """
    lines = [line.split() for line in statistics.read_text(encoding="ascii").splitlines()]
    names = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    ticks = sum(
        sum(map(int, line[columns]))
        for line in lines
        if line and line[0] in names
        for columns in _BUSY
    )
    return ProcessorTime(time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), time.process_time())


def processors_of_others(before: ProcessorTime, after: ProcessorTime) -> float:
    """How many processors others have used between two instants, on average."""
    others = (after.of_all - before.of_all) - (after.of_this_process - before.of_this_process)
    return max(0.0, others / (after.clock - before.clock))


@contextlib.contextmanager
def shared_processors(interval: float = 1.0) -> Iterator[None]:
    """While it is open, waiting threads sleep sooner whenever others are busy.

    It does nothing where the user has decided how threads wait, in the processes that a launcher
    has started, which share the processors by their number of threads, and where the system does
    not say how busy it is.

    Args:
        interval: Seconds between two looks at the others.
    """
    library = _openmp() if _is_ours_to_decide() else None
    if library is None:
        yield
        return
    over = threading.Event()
    watching = threading.Thread(target=_watch, args=(library, over, interval), daemon=True)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()


def _is_ours_to_decide() -> bool:
    return set_by_package().get("GOMP_SPINCOUNT", False) and not is_launched()


def _openmp() -> Optional[ctypes.CDLL]:
    with contextlib.suppress(OSError):
        processor_time()
        return ctypes.CDLL("libgomp.so.1")
    return None


def _watch(library: ctypes.CDLL, over: threading.Event, interval: float) -> None:
    num_usable, num_own = len(os.sched_getaffinity(0)), num_threads()
    team: Optional[_IdleTeam] = None
    before = processor_time()
    while not over.wait(interval):
        now = processor_time()
        missing = num_own - num_usable + processors_of_others(before, now)
        before = now
        # Between the two it stays as it is, so that it does not change all the time.
        if team is None and missing > 0.6:
            team = _IdleTeam(library, num_usable - num_own + 2)
        elif team is not None and missing < 0.4:
            team.end()
            team = None
    if team is not None:
        team.end()


class _IdleTeam:
    """OpenMP threads that do nothing, until `end`; one of them is Python's thread, which is there.

    Args:
        library: libgomp.
        size: Number of threads.
    """

    def __init__(self, library: ctypes.CDLL, size: int) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, args=(library, size), daemon=True)
        self._thread.start()

    def _keep(self, library: ctypes.CDLL, size: int) -> None:
        # A parallel region whose body is a function without arguments or effect. Its threads stay
        # until the thread that began it ends.
        library.GOMP_parallel(library.omp_get_num_threads, None, size, 0)
        self._over.wait()

    def end(self) -> None:
        """Ends the threads."""
        self._over.set()
        self._thread.join()
