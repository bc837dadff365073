"""Checks for shared libraries of the system, and names the packages of those that are missing.

MXNet and OpenCV bring most of their libraries along. All missing ones are reported at once, before
either is imported. `make setup` runs this file as a script, with only the standard library.
"""

from __future__ import annotations

import platform
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import NamedTuple, Optional, Sequence


class Library(NamedTuple):
    """A shared library, and the packages that contain it."""

    name: str
    debian: str
    fedora: str


_THREADS = Library("libgomp.so.1", "libgomp1", "libgomp")
_OF_MXNET = {
    # For 128-bit numbers, which the Fortran library in MXNet's wheel uses.
    "x86_64": (_THREADS, Library("libquadmath.so.0", "libquadmath0", "libquadmath")),
    # In place of Arm Performance Libraries (`mobilenet.compat.arm_libraries`).
    "aarch64": (
        _THREADS,
        Library("libopenblas.so.0", "libopenblas0-openmp", "openblas-serial"),
        Library("liblapacke.so.3", "liblapacke", "lapack"),
    ),
}
# OpenCV needs them for its windows. Debian 13 and later map this old name of glib's package to the
# new one.
_OF_OPENCV = (
    Library("libGL.so.1", "libgl1", "libglvnd-glx"),
    Library("libgthread-2.0.so.0", "libglib2.0-0", "glib2"),
)


class MissingLibraries(ImportError):  # noqa: N818 - as ModuleNotFoundError is
    """Shared libraries of the system are missing; the message names them and their packages."""


def require(machine: str = platform.machine()) -> None:
    """Checks that all libraries that MXNet and the installed OpenCV need are there.

    Raises:
        MissingLibraries: Some are missing.
    """
    builds = _opencv_builds()
    has_windows = bool(builds) and not any("headless" in build for build in builds)
    needed = (*_OF_MXNET.get(machine, ()), *(_OF_OPENCV if has_windows else ()))
    if missing := [library for library in needed if not _can_be_loaded(library.name)]:
        raise MissingLibraries(_sentence(missing))


def _opencv_builds() -> list[str]:
    """Names of the folders of libraries in the installed OpenCV wheels."""
    spec = PathFinder.find_spec("cv2")
    if spec is None or spec.origin is None:
        return []
    return [path.name for path in Path(spec.origin).parents[1].glob("opencv_*.libs")]


def _can_be_loaded(name: str) -> bool:
    import ctypes  # noqa: PLC0415 - most processes import MXNet or OpenCV late or not at all

    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _sentence(missing: Sequence[Library]) -> str:
    names = ", ".join(library.name for library in missing)
    debian = " ".join(library.debian for library in missing)
    fedora = " ".join(library.fedora for library in missing)
    other = "" if set(missing).isdisjoint(_OF_OPENCV) else _HEADLESS
    return (
        f"this system lacks {names}; install what has them: `apt-get install {debian}` on Debian"
        f" and Ubuntu, `dnf install {fedora}` on Fedora{other}"
    )


_HEADLESS = " (opencv-python-headless in the place of opencv-python needs no libGL and libgthread)"


def main() -> Optional[str]:
    """The message about missing libraries, or None."""
    try:
        require()
    except MissingLibraries as error:
        return str(error)
    return None


if __name__ == "__main__":
    if message := main():
        sys.stderr.write(f"{message}\n")
        sys.exit(2)
