"""Loads NVIDIA's libraries from PyPI's wheels before MXNet's build for GPUs, which links them.

The wheels (nvidia-cudnn-cu11 and others) put them into site-packages/nvidia/*/lib, where the
system's loader does not look. A library that is loaded already is found by its name.
"""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Sequence


def load_cuda_libraries(search: Sequence[str] | None = None) -> None:
    """Loads what MXNet links, the system lacks and a wheel has; nothing for a build for CPUs.

    A CUDA installation of the user's own is left to the system's loader, which is asked first.
    What is missing all the same is told when MXNet is imported.

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
    """Loads a library after those from wheels that the system's loader says it misses."""
    while True:
        try:
            ctypes.CDLL(str(library))
            return
        except OSError as error:  # such as `libcudart.so.11.0: cannot open shared object file`
            missing = in_wheels.pop(str(error).partition(":")[0], None)
        if missing is None:
            return
        _load(missing, in_wheels)
