"""Links OpenBLAS, LAPACKE and libm in place of Arm Performance Libraries, for MXNet on aarch64.

MXNet's wheel for aarch64 links Arm Performance Libraries, which no package index has. It calls only
their BLAS, LAPACK, LAPACKE and mathematical functions. The loader first looks beside libmxnet.so,
so that links there, by the names that MXNet asks for, are enough.
"""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Optional

from mobilenet.compat.native_libraries import MissingLibraries

# The libraries that libmxnet.so links, and the ones that have the same functions.
SUBSTITUTES = {
    "libarmpl_lp64_mp.so": "libopenblas.so.0",
    "libastring.so": "liblapacke.so.3",
    "libamath.so": "libm.so.6",
}
_LINK_MAP = 2  # RTLD_DI_LINKMAP of dlinfo(3)


class _LinkMap(ctypes.Structure):
    """The beginning of the loader's `struct link_map`."""

    _fields_ = (("address", ctypes.c_void_p), ("path", ctypes.c_char_p))


def link_substitutes() -> None:
    """Makes the links beside the installed MXNet's library that are missing.

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
    """The folder of the installed MXNet, found without importing it."""
    spec = PathFinder.find_spec("mxnet")
    return Path(spec.origin).parent if spec and spec.origin else None


def _path(library: str) -> Optional[str]:
    """The path at which the loader finds a library, or None."""
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
    """Makes or replaces a link atomically, since other processes may do the same."""
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
