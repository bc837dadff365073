"""Makes ``import mxnet`` work with today's Python and NumPy, by a hook that runs just before it.

MXNet 1.9.1 is the last release. It uses names that NumPy has removed since, and half of the
processors unless told otherwise. The package imports this module first, so that all its processes
(scripts, workers, servers of a distributed run) get the same repairs.
"""

from __future__ import annotations

import platform
import sys
import warnings
from importlib.machinery import ModuleSpec
from typing import Any, Optional, Sequence

from mobilenet.compat.arm_libraries import link_substitutes
from mobilenet.compat.cuda_libraries import load_cuda_libraries
from mobilenet.compat.environment import set_environment
from mobilenet.compat.native_libraries import require
from mobilenet.compat.numpy_names import repair_numpy, respelled


class _BeforeNativeImports:
    """Import hook for MXNet and OpenCV, which keeps `--help` fast: NumPy alone takes most of it."""

    def find_spec(
        self, name: str, path: Optional[Sequence[str]] = None, *_: object
    ) -> Optional[ModuleSpec]:
        """Called for every import, before Python looks for the module; None leaves it to Python."""
        if name in ("mxnet", "cv2"):
            require()
        if name == "mxnet":
            if platform.machine() == "aarch64":
                link_substitutes()
            repair_numpy()
            _repair_children()
            load_cuda_libraries()
        return respelled(name, path) if name == "mxnet.recordio" else None


_before_native_imports = _BeforeNativeImports()


def _repair_children() -> None:
    """Makes the fork server, which forks the workers of a pool, import this module first.

    It is the default from Python 3.14 on. Without this, a worker that gets an array or a function
    of MXNet would import MXNet unrepaired.
    """
    from multiprocessing import forkserver  # noqa: PLC0415 - MXNet imports it anyhow

    server: Any = getattr(forkserver, "_forkserver")  # noqa: B009 - no other way to read its list
    if server._preload_modules == ["__main__"]:  # unless the user has set another
        forkserver.set_forkserver_preload(["__main__", __name__])


# Names of modules as they run; paths of files while they are compiled.
_OF_OTHERS = r"(.*/)?(mxnet|gluoncv)([./]|$)"


def silence_mxnet_import() -> None:
    """Hides warnings about MXNet's and GluonCV's own source code."""
    for category in (DeprecationWarning, SyntaxWarning):
        warnings.filterwarnings("ignore", category=category, module=_OF_OTHERS)


def prepare_for_mxnet() -> None:
    """Sets the environment and installs the import hook; a second call changes nothing.

    Must be called before MXNet is imported. `import mobilenet` does it.
    """
    if _before_native_imports not in sys.meta_path:
        sys.meta_path.insert(0, _before_native_imports)
    set_environment()
    silence_mxnet_import()
