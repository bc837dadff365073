"""Sets environment variables for the native libraries, and counts processors.

The libraries read the variables when they are loaded. A variable that the user has set stays.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

# Launchers set these to the number of processes of a run on this machine.
_LOCAL_SIZES = ("MOBILENET_LOCAL_SIZE", "HOROVOD_LOCAL_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE")


def launcher_number(name: str) -> int:
    """The number in a launcher's environment variable, or 0."""
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else 0


# The files of the CPU quota and its period, in control groups of version 2 and 1.
_QUOTAS = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))
_CONTROL_GROUP = Path("/sys/fs/cgroup")  # a container sees its own there


def usable_processors(control_group: Path = _CONTROL_GROUP) -> int:
    """Number of processors that this process may use: its affinity, limited by the CPU quota."""
    number = len(os.sched_getaffinity(0))
    for names in _QUOTAS:
        with contextlib.suppress(OSError, ValueError):  # for instance `max`, no limit
            texts = [(control_group / name).read_text(encoding="ascii") for name in names]
            quota, period = map(int, " ".join(texts).split())
            if quota > 0 and period > 0:
                number = min(number, -(-quota // period))
    return number


def is_launched() -> bool:
    """Whether this process is one of several of a run that share this machine."""
    return any(map(launcher_number, _LOCAL_SIZES))


def num_processors() -> int:
    """Number of processors for this process, at least 1.

    Those that it may use, by affinity and CPU quota, divided by the number of processes of a
    distributed run on this machine.
    """
    num_sharing = next(filter(None, map(launcher_number, _LOCAL_SIZES)), 1)
    return max(1, usable_processors() // num_sharing)


def num_threads() -> int:
    """Number of threads that compute: OMP_NUM_THREADS, by default one per processor.

    OpenMP also takes a list of numbers; the first one counts.
    """
    text = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(text) if text.isdecimal() and int(text) > 0 else num_processors()


# Arrays from this size on are copied by several threads.
_PARALLEL_SIZE = "MXNET_CPU_PARALLEL_SIZE"

_ENVIRONMENT = {
    # By default MXNet takes half of the processors, as if each core had two threads.
    "OMP_NUM_THREADS": str(num_processors()),
    # Otherwise MXNet prints a line for each graph that it fuses.
    "MXNET_SUBGRAPH_VERBOSE": "0",
    # A large copy in Python's thread would start OpenMP threads in addition to those of the
    # engine's thread. With more threads than processors they sleep after every operator instead of
    # spinning.
    _PARALLEL_SIZE: str(2**31 - 1),
    # From 1.29 on, ONNX Runtime would write an identifier of the machine into the user's cache
    # folder, and send it and facts of every model to its maker.
    "ORT_DISABLE_TELEMETRY": "1",
    # A damaged JPEG header may claim gigapixels, for which OpenCV would allocate memory.
    "OPENCV_IO_MAX_IMAGE_PIXELS": str(1 << 27),
}

# How often OpenMP's waiting threads spin before they sleep. The default of 300,000 takes processors
# from working threads when other processes run as well (docs/troubleshooting.md).
_SPIN_COUNT = ("GOMP_SPINCOUNT", "10000")
_WAITING = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")  # either of them sets it

# Limits oneDNN to AVX2.
_LIMIT = "DNNL_MAX_CPU_ISA"
_WITH_BFLOAT16 = ("ALL", "AVX512_CORE_BF16", "AVX512_CORE_AMX")  # its values that allow bfloat16

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
    """Whether the processor is faster with AVX2 than with AVX-512, or has only AVX2.

    Intel's processors compute 16 values with AVX-512 as fast as 8; AMD's before Zen 5 take twice as
    long and are faster with AVX2 (`benchmarks/settings.py`). Arm's have neither.
    """
    facts = _facts(processor)
    return " avx2 " in facts and not ("GenuineIntel" in facts and " avx512f " in facts)


def has_bfloat16(processor: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor multiplies numbers in bfloat16, and oneDNN may let it."""
    allowed = os.environ.get(_LIMIT, "ALL")
    return " avx512_bf16 " in _facts(processor) and allowed in _WITH_BFLOAT16


def _facts(processor: Path) -> str:
    """What Linux tells of the first processor; empty where it tells nothing."""
    try:
        return processor.read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return ""


def _set(name: str, value: str) -> None:
    if name not in os.environ:
        os.environ[name] = value
        _set_by_us.add(name)


def _take_back(name: str) -> None:
    if name in _set_by_us:
        _set_by_us.remove(name)
        os.environ.pop(name, None)


def set_by_package() -> dict[str, bool]:
    """The variables of `set_environment` that are set, and whether this package has set them."""
    names = (*_ENVIRONMENT, *_WAITING, _LIMIT)
    return {name: name in _set_by_us for name in names if name in os.environ}


def unset_environment() -> None:
    """Removes what `set_environment` has set, so that child processes do not inherit it.

    They choose values of their own: they may be on another machine, or share this one.
    """
    for name in list(_set_by_us):
        _take_back(name)


def allow_all_instructions() -> None:
    """Removes the limit to AVX2, unless the user has set it; call it before MXNet computes.

    Int8 needs VNNI, which the limit forbids. Without it oneDNN is no faster than in single
    precision, and sums of products overflow.
    """
    _take_back(_LIMIT)


def prepare_for_inference(devices: Path = Path("/dev")) -> None:
    """Sets variables that make pure inference on CPUs faster, unless the user has set them.

    MXNet's usual engine hands every operator to a thread, which for a single image takes as long as
    the operators themselves. Its naive engine runs them in Python's thread, where copying by
    several threads does no harm. On GPUs it would wait for each operator.
    """
    if not (devices / "nvidiactl").exists():
        _set("MXNET_ENGINE_TYPE", "NaiveEngine")
        _take_back(_PARALLEL_SIZE)
