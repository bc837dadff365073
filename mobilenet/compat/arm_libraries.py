"""Puts OpenBLAS in the place of Arm's own libraries, which MXNet's wheel for aarch64 asks for.

No package index has Arm Performance Libraries. What MXNet calls in them is BLAS, LAPACK, LAPACKE
and mathematical functions, which systems have in OpenBLAS, LAPACKE and libm. The loader looks for
them beside libmxnet.so first, so that links there, by the names that MXNet asks for, are enough.
"""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Optional

from mobilenet.compat.native_libraries import MissingLibraries

# What libmxnet.so asks for, and which library has the functions.
SUBSTITUTES = {
    "libarmpl_lp64_mp.so": "libopenblas.so.0",
    "libastring.so": "liblapacke.so.3",
    "libamath.so": "libm.so.6",
}
_LINK_MAP = 2  # RTLD_DI_LINKMAP of dlinfo(3)


class _LinkMap(ctypes.Structure):
    """What the loader knows of a library: the beginning of `struct link_map`."""

    _fields_ = (("address", ctypes.c_void_p), ("path", ctypes.c_char_p))


def link_substitutes() -> None:
    """Links what the installed MXNet asks for to what this system has, where that is not done yet.

    Raises:
        MissingLibraries: The links cannot be written beside MXNet's library.
    """
    folder = _mxnet_folder()
    if folder is None:
        return
    for name, library in SUBSTITUTES.items():
        if (folder / name).exists() or _path(name) is not None:
            continue
        if target := _path(library):
            _link(folder / name, target)


def _mxnet_folder() -> Optional[Path]:
    """Where the installed MXNet lies, found without importing it."""
    spec = PathFinder.find_spec("mxnet")
    return Path(spec.origin).parent if spec and spec.origin else None


def _path(library: str) -> Optional[str]:
    """Where the loader finds a library, None if it does not."""
    try:
        handle = ctypes.CDLL(library)._handle
    except OSError:
        return None
    entry = ctypes.POINTER(_LinkMap)()
    dlinfo = ctypes.CDLL(None).dlinfo
    dlinfo.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    if dlinfo(handle, _LINK_MAP, ctypes.byref(entry)) != 0:
        return None
    return os.fsdecode(entry.contents.path)


def _link(link: Path, target: str) -> None:
    """Makes a link, in the place of one that leads nowhere; another process may do the same."""
    unfinished = link.with_name(f"{link.name}.{os.getpid()}")
    try:
        unfinished.symlink_to(target)
        unfinished.replace(link)
    except OSError as error:
        raise MissingLibraries(
            f"MXNet needs {target} under the name {link.name}, and {link.parent} takes no link"
            f" ({error.strerror}); as the owner of that folder, run once:"
            f" {sys.executable} -c 'import mobilenet, mxnet'"
        ) from error
