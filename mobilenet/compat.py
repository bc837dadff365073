"""Makes ``import mxnet`` work on today's Python and NumPy, and sets its threads, before it loads.

MXNet 1.9.1 is the last release. It reads names that NumPy 1.24 removed and takes half of the
processors unless it is told otherwise. The package imports this module first, so that every process
that enters through the package (scripts, workers, servers of a distributed run) is repaired alike.
"""

from __future__ import annotations

import os
import warnings

import numpy

# Aliases that NumPy 1.24 removed and MXNet 1.9.1 still reads while it is imported.
_REMOVED_ALIASES = {
    "bool": bool,
    "int": int,
    "float": float,
    "complex": complex,
    "object": object,
    "str": str,
}


def repair_numpy() -> None:
    """Puts back the aliases of built-in types that NumPy 1.24 removed."""
    for name, builtin in _REMOVED_ALIASES.items():
        if name not in vars(numpy):
            setattr(numpy, name, builtin)


def use_all_processors() -> None:
    """Gives MXNet one OpenMP thread per available processor, unless OMP_NUM_THREADS is set."""
    os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))


def silence_mxnet_import() -> None:
    """Hides the warnings about NumPy that only MXNet's own import can cause."""
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"mxnet(\.|$)")
    warnings.filterwarnings("ignore", message=".*was removed from NumPy.*")


def prepare_for_mxnet() -> None:
    """Does everything that must precede `import mxnet`; doing it twice changes nothing."""
    repair_numpy()
    use_all_processors()
    silence_mxnet_import()
