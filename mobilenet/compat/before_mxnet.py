"""Makes ``import mxnet`` work on today's Python and NumPy: acts just before it is imported.

MXNet 1.9.1 is the last release. It reads names that NumPy has removed since and takes half of the
processors unless it is told otherwise. The package imports this module first, so that every process
that enters through the package (scripts, workers, servers of a distributed run) is repaired alike.
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
    """Acts when MXNet or OpenCV is about to be imported: NumPy alone takes most of `--help`."""

    def find_spec(
        self, name: str, path: Optional[Sequence[str]] = None, *_: object
    ) -> Optional[ModuleSpec]:
        """Called for every import before Python looks for the module; leaves nearly all to that."""
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
    """Lets the server that forks the workers of a pool import this module before anything else.

    Such a server is the default from Python 3.14 on. A worker that is handed an array or a function
    of MXNet's would import MXNet first.
    """
    from multiprocessing import forkserver  # noqa: PLC0415 - MXNet imports it anyhow

    server: Any = getattr(forkserver, "_forkserver")  # noqa: B009 - the only way to see its list
    if server._preload_modules == ["__main__"]:  # as long as the user has not set another
        forkserver.set_forkserver_preload(["__main__", __name__])


# Modules as they run, and as they are compiled, when their file stands for their name.
_OF_OTHERS = r"(.*/)?(mxnet|gluoncv)([./]|$)"


def silence_mxnet_import() -> None:
    """Hides the warnings that only MXNet's and GluonCV's own source can cause."""
    for category in (DeprecationWarning, SyntaxWarning):
        warnings.filterwarnings("ignore", category=category, module=_OF_OTHERS)


def prepare_for_mxnet() -> None:
    """Does everything that must precede `import mxnet`; doing it twice changes nothing."""
    if _before_native_imports not in sys.meta_path:
        sys.meta_path.insert(0, _before_native_imports)
    set_environment()
    silence_mxnet_import()
