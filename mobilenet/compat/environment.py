"""The variables that MXNet, OpenMP, oneDNN and OpenCV read when they are loaded, and processors.

A variable that the user has set is never overridden.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

# In which launchers say how many processes of a run share this machine.
_LOCAL_SIZES = ("MOBILENET_LOCAL_SIZE", "HOROVOD_LOCAL_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE")


def launcher_number(name: str) -> int:
    """The number that a launcher has put into a variable, 0 for none."""
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else 0


# A quota and its period, in control groups of version 2 and 1.
_QUOTAS = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))
_CONTROL_GROUP = Path("/sys/fs/cgroup")  # a container sees its own there


def usable_processors(control_group: Path = _CONTROL_GROUP) -> int:
    """The processors that this process may run on; no more than its container's quota fills."""
    number = len(os.sched_getaffinity(0))
    for names in _QUOTAS:
        with contextlib.suppress(OSError, ValueError):  # for instance `max`: there is no limit
            texts = [(control_group / name).read_text(encoding="ascii") for name in names]
            quota, period = map(int, " ".join(texts).split())
            if quota > 0 and period > 0:
                number = min(number, -(-quota // period))
    return number


def num_processors() -> int:
    """This process's share of the processors that it may use, at least 1."""
    num_sharing = next(filter(None, map(launcher_number, _LOCAL_SIZES)), 1)
    return max(1, usable_processors() // num_sharing)


# From how many numbers on MXNet copies by several threads.
_PARALLEL_SIZE = "MXNET_CPU_PARALLEL_SIZE"

# What native libraries read when they are loaded; whatever the user has set stays.
_ENVIRONMENT = {
    # MXNet takes half of the processors by itself, as if each were two threads of a core.
    "OMP_NUM_THREADS": str(num_processors()),
    # MXNet would tell at each graph that it fuses it.
    "MXNET_SUBGRAPH_VERBOSE": "0",
    # A large copy in Python's thread would start threads of OpenMP besides those of the engine's
    # thread, and more threads than processors sleep after every operator instead of spinning.
    _PARALLEL_SIZE: str(2**31 - 1),
    # A few damaged bytes in a JPEG's header may claim a gigapixel; OpenCV would make room for it.
    "OPENCV_IO_MAX_IMAGE_PIXELS": str(1 << 27),
}

# How often OpenMP's waiting threads look before they sleep. Its own 300,000 keep the threads that
# work from the processors where other processes want them as well (docs/troubleshooting.md).
_SPIN_COUNT = ("GOMP_SPINCOUNT", "10000")
_WAITING = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")  # either of them decides

# Keeps oneDNN to the narrower vectors of AVX2.
_LIMIT = "DNNL_MAX_CPU_ISA"

_set_by_us: set[str] = set()


def set_environment(processor: Path = Path("/proc/cpuinfo")) -> None:
    """Sets what native libraries read when they are loaded, unless the user has set it."""
    for name, value in _ENVIRONMENT.items():
        _set(name, value)
    if not any(name in os.environ for name in _WAITING):
        _set(*_SPIN_COUNT)
    if _is_faster_with_avx2(processor):
        _set(_LIMIT, "AVX2")


def _is_faster_with_avx2(processor: Path) -> bool:
    """Whether the processor is faster with vectors of 8 numbers than with those of 16.

    Intel's add and multiply 16 at once as fast as 8; AMD's before Zen 5 take twice as long for
    them, and are faster with AVX2 (`benchmarks/settings.py`). Arm's have neither.
    """
    try:
        facts = processor.read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return False
    return " avx2 " in facts and not ("GenuineIntel" in facts and " avx512f " in facts)


def _set(name: str, value: str) -> None:
    if name not in os.environ:
        os.environ[name] = value
        _set_by_us.add(name)


def _take_back(name: str) -> None:
    if name in _set_by_us:
        _set_by_us.remove(name)
        os.environ.pop(name, None)


def set_by_package() -> dict[str, bool]:
    """Of every variable that `set_environment` cares for and that is set, whether it has set it."""
    names = (*_ENVIRONMENT, *_WAITING, _LIMIT)
    return {name: name in _set_by_us for name in names if name in os.environ}


def unset_environment() -> None:
    """Takes back what `set_environment` has set, before other processes inherit it as the user's.

    They know better how many processors they have, perhaps on another machine, and share.
    """
    for name in list(_set_by_us):
        _take_back(name)


def allow_all_instructions() -> None:
    """Takes back the limit on instructions, if it is ours, before MXNet computes anything.

    Integers need what it forbids: VNNI, without which oneDNN is no faster in int8 than in single
    precision, and sums of products overflow.
    """
    _take_back(_LIMIT)


def prepare_for_inference(devices: Path = Path("/dev")) -> None:
    """Sets what a process that only infers is faster with, unless the user has set it.

    MXNet's usual engine hands every operator to a thread, which for a single image takes as long as
    the operators. Its naive engine calls them in Python's thread, which may then as well copy by
    several; on GPUs it would also wait for each of them.
    """
    if not (devices / "nvidiactl").exists():
        _set("MXNET_ENGINE_TYPE", "NaiveEngine")
        _take_back(_PARALLEL_SIZE)
