"""Finds the GPUs of this machine, and whether MXNet can compute on them.

It asks the driver through its library, libcuda, as MXNet does.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import mxnet as mx

from mobilenet.errors import last_line

# MXNet 1.9.1 has machine code for 5.0, 6.0, 7.0, 8.0 and 8.6, which also runs on later minor
# versions, but no PTX, which a driver could translate for other major versions.
_OLDEST, _NEWEST_MAJOR = (5, 0), 8

_DRIVER, _COMPILER = "libcuda.so.1", "libnvrtc.so.11.2"
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76  # of CUdevice_attribute in cuda.h


class Gpu(NamedTuple):
    """One GPU, as its driver describes it."""

    name: str
    capability: tuple[int, int]
    memory_bytes: int

    @property
    def obstacle(self) -> str | None:
        """Why MXNet cannot compute on it; None if it can."""
        if self.capability >= _OLDEST and self.capability[0] <= _NEWEST_MAJOR:
            return None
        return (
            f"{self.name} has compute capability {_dotted(self.capability)}, and MXNet 1.9.1 has"
            " kernels for 5.0 to 8.9 only"
        )

    def __str__(self) -> str:
        """Name, capability and memory."""
        gigabytes = self.memory_bytes / 1e9
        return f"{self.name}, compute capability {_dotted(self.capability)}, {gigabytes:.1f} GB"


class Driver(NamedTuple):
    """NVIDIA's driver and the GPUs that it shows to this process."""

    newest_cuda: tuple[int, int]
    """The newest CUDA that it supports; (0, 0) if it is missing or does not start."""
    gpus: tuple[Gpu, ...]
    obstacle: str | None
    """Why no GPU can be used, and what to do; None if the driver works."""

    def obstacle_to(self, number: int) -> str | None:
        """Why MXNet cannot compute on `gpu(number)`; None if it can."""
        if self.obstacle:
            return self.obstacle
        if number >= len(self.gpus):
            return f"NVIDIA's driver shows {len(self.gpus)} GPUs, counted from gpu(0)"
        return self.gpus[number].obstacle or _obstacle_in_mxnet(number)

    def rows(self) -> dict[str, str]:
        """The driver and every GPU by name, and whether MXNet can compute on it."""
        rows = {"GPU driver": self.obstacle or f"runs CUDA up to {_dotted(self.newest_cuda)}"}
        for number, gpu in enumerate(self.gpus):
            obstacle = "see the driver" if self.obstacle else self.obstacle_to(number)
            use = f"cannot be used: {obstacle}" if obstacle else "can be used"
            rows[f"gpu({number})"] = f"{gpu}; {use}"
        return rows

    def as_json(self) -> dict[str, Any]:
        """The driver and its GPUs as plain JSON."""
        gpus = [
            {**gpu._asdict(), "obstacle": self.obstacle_to(number)}
            for number, gpu in enumerate(self.gpus)
        ]
        return {**self._asdict(), "gpus": gpus}


def driver() -> Driver:
    """The driver, or what is wrong with it."""
    try:
        library = ctypes.CDLL(_DRIVER)
    except OSError as error:
        what = "install it, or start the container with `docker run --gpus all`"
        return Driver((0, 0), (), f"NVIDIA's driver is missing ({error}): {what}")
    code = library.cuInit(0)
    if code:
        what = f"{_error(library, code)}): `nvidia-smi` may tell more"
        return Driver((0, 0), (), f"NVIDIA's driver does not start ({what}")
    newest = _version(library.cuDriverGetVersion)
    return Driver(newest, _gpus(library), _obstacle_in_driver(newest))


def _error(library: ctypes.CDLL, code: int) -> str:
    """The name and meaning of a CUDA error."""
    texts = []
    for ask in (library.cuGetErrorName, library.cuGetErrorString):
        text = ctypes.c_char_p()
        ask(code, ctypes.byref(text))
        texts.append((text.value or b"").decode())
    return ": ".join(filter(None, texts)) or f"error {code}"


def _version(ask: ctypes._NamedFuncPointer) -> tuple[int, int]:
    """A version of CUDA; the library gives 11080 for 11.8."""
    number = ctypes.c_int()
    ask(ctypes.byref(number))
    return number.value // 1000, number.value % 1000 // 10


def _gpus(library: ctypes.CDLL) -> tuple[Gpu, ...]:
    count = ctypes.c_int()
    library.cuDeviceGetCount(ctypes.byref(count))
    return tuple(_gpu(library, number) for number in range(count.value))


def _gpu(library: ctypes.CDLL, number: int) -> Gpu:
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name, memory_bytes = ctypes.create_string_buffer(256), ctypes.c_size_t()
    library.cuDeviceGet(ctypes.byref(device), number)
    library.cuDeviceGetName(name, len(name), device)
    library.cuDeviceGetAttribute(ctypes.byref(major), _CAPABILITY_MAJOR, device)
    library.cuDeviceGetAttribute(ctypes.byref(minor), _CAPABILITY_MINOR, device)
    library.cuDeviceTotalMem_v2(ctypes.byref(memory_bytes), device)
    return Gpu(name.value.decode(), (major.value, minor.value), memory_bytes.value)


def _obstacle_in_driver(newest: tuple[int, int]) -> str | None:
    """Why the driver is too old: it cannot load kernels that a newer NVRTC compiles for MXNet."""
    try:
        compiler = ctypes.CDLL(_COMPILER)
    except OSError:
        return None  # MXNet is the build for CPUs; requesting a GPU reports it
    major, minor = ctypes.c_int(), ctypes.c_int()
    compiler.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    needed = (major.value, minor.value)
    if newest >= needed:
        return None
    return (
        f"NVIDIA's driver is too old: it runs CUDA up to {_dotted(newest)}, and the libraries that"
        f" MXNet uses are of CUDA {_dotted(needed)}: install a newer driver"
    )


def _obstacle_in_mxnet(number: int) -> str | None:
    if not mx.runtime.Features().is_enabled("CUDA"):
        return "MXNet is installed as the build for CPUs: run `make setup-gpu`, or see docs/gpus.md"
    try:
        seen = mx.context.num_gpus()
    except mx.MXNetError as error:
        return f"MXNet cannot reach it ({last_line(error)})"
    return None if number < seen else f"MXNet itself sees {seen} GPUs"


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
