"""Loads NVIDIA's libraries from PyPI's wheels, for MXNet's build for GPUs, which links them.

The wheels (nvidia-cudnn-cu11 and others) put them into site-packages/nvidia/*/lib, where the
system's loader does not look. It does find a library by its name if it is already loaded.
"""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Sequence


def load_cuda_libraries(search: Sequence[str] | None = None) -> None:
    """Loads libraries that MXNet links and the system lacks from wheels that have them.

    Does nothing for a build for CPUs. The system's loader is asked first, so that a CUDA
    installation takes precedence. If libraries are still missing, importing MXNet says so.

    Args:
        search: Folders of packages, `sys.path` unless given.
    """
    folders = sys.path if search is None else list(search)
    in_wheels = {path.name: path for folder in folders for path in _libraries_below(folder)}
    spec = PathFinder.find_spec("mxnet", folders)
    if not in_wheels or spec is None or spec.origin is None:
        return
    of_user = os.environ.get("MXNET_LIBRARY_PATH")  # MXNet takes this one if it is set
    _load(Path(of_user or Path(spec.origin).with_name("libmxnet.so")), in_wheels)


def _libraries_below(folder: str) -> list[Path]:
    return list(Path(folder).glob("nvidia/*/lib/*.so.*"))


def _load(library: Path, in_wheels: dict[str, Path]) -> None:
    """Loads a library, after those in wheels that the system's loader reports as missing."""
    while True:
        try:
            ctypes.CDLL(str(library))
            return
        except OSError as error:  # such as `libcudart.so.11.0: cannot open shared object file`
            missing = in_wheels.pop(str(error).partition(":")[0], None)
        if missing is None:
            return
        _load(missing, in_wheels)
