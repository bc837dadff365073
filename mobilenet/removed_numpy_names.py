"""Puts the names back into NumPy that MXNet 1.9.1 reads and NumPy has removed, and no others.

NumPy 1.24 removed the names of built-in types, 2.0 and later second names of
constants and functions. `tests/test_removed_numpy_names.py` looks for what MXNet's sources read.
"""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any


def _replacements(numpy: Any) -> dict[str, object]:
    """What each name stood for.

    The functions are none of NumPy's own: MXNet registers an operator for the old name and one for
    the new, which would be a single key.
    """
    return {
        "bool": bool,
        "int": int,
        "Inf": numpy.inf,
        "PINF": numpy.inf,
        "NINF": -numpy.inf,
        "NAN": numpy.nan,
        "NaN": numpy.nan,
        "PZERO": 0.0,
        "NZERO": -0.0,
        "compat": SimpleNamespace(basestring=str),
        "alltrue": lambda *args, **kwargs: numpy.all(*args, **kwargs),
        "sometrue": lambda *args, **kwargs: numpy.any(*args, **kwargs),
        "product": lambda *args, **kwargs: numpy.prod(*args, **kwargs),
        "round_": lambda *args, **kwargs: numpy.round(*args, **kwargs),
        "trapz": lambda *args, **kwargs: numpy.trapezoid(*args, **kwargs),
        "msort": lambda array: numpy.sort(array, axis=0),
        "in1d": lambda first, *args, **kwargs: numpy.isin(numpy.ravel(first), *args, **kwargs),
        **dict.fromkeys(("mirr", "npv", "pmt", "ppmt", "pv", "rate"), _financial),
    }


def _financial(*_: object, **__: object) -> None:
    raise RuntimeError("NumPy has had no financial functions since 1.20; see numpy-financial")


def repair_numpy() -> None:
    """Puts back what the NumPy of this process has no longer."""
    try:
        import numpy  # noqa: PLC0415 - it takes most of the time of `--help`
    except ModuleNotFoundError:
        return  # then MXNet is missing as well, and `mobilenet.__main__` says so
    _put_back(numpy)


def _put_back(numpy: ModuleType) -> None:
    for name, value in _replacements(numpy).items():
        if name not in vars(numpy):
            setattr(numpy, name, value)
