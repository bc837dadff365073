"""Puts the names back into NumPy that MXNet 1.9.1 reads and NumPy has removed, and no others.

NumPy 1.24 removed the names of built-in types, and 2.0 and later second names of constants,
functions and a method. `tests/compat/test_numpy_names.py` looks for what MXNet's sources read.
"""

from __future__ import annotations

import functools
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType, SimpleNamespace
from typing import Any, Callable, Optional, Sequence

# Functions that are there under another name.
_RENAMED = {
    "alltrue": "all",
    "product": "prod",
    "round_": "round",
    "sometrue": "any",
    "trapz": "trapezoid",
}
# Removed by NumPy 1.20 already; they have to be there, not to work.
_FINANCIAL = ("mirr", "npv", "pmt", "ppmt", "pv", "rate")


def repair_numpy() -> None:
    """Puts back what the NumPy of this process has no longer."""
    try:
        import numpy  # noqa: PLC0415 - it takes most of the time of `--help`
    except ModuleNotFoundError:
        return  # then MXNet is missing as well, and `mobilenet.__main__` says so
    for name, value in _others(numpy).items():
        _put_back(numpy, name, value)
    for name in _FINANCIAL:
        _put_back(numpy, name, _financial)
    for name in _RENAMED.keys() - vars(numpy).keys():
        _put_back(numpy, name, _a_function_of_its_own(getattr(numpy, _RENAMED[name])))


def _put_back(numpy: ModuleType, name: str, value: object) -> None:
    if name not in vars(numpy):
        setattr(numpy, name, value)


def _others(numpy: Any) -> dict[str, object]:
    """Built-in types, constants, and two functions with no other name."""
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
        "in1d": lambda first, *args, **kwargs: numpy.isin(numpy.ravel(first), *args, **kwargs),
        "msort": lambda array: numpy.sort(array, axis=0),
    }


def _a_function_of_its_own(function: Callable[..., object]) -> Callable[..., object]:
    """Does the same as another object: for each, MXNet keeps one operator, the last it saw."""

    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        return function(*args, **kwargs)

    return call


def _financial(*_: object, **__: object) -> None:
    raise RuntimeError("NumPy has had no financial functions since 1.20; see numpy-financial")


class _Respelled(SourceFileLoader):
    """Compiles a module with the method `tostring` of arrays under the name that it still has."""

    def get_code(self, fullname: str) -> Any:  # noqa: ARG002 - as it is called
        source = self.get_data(self.path).replace(b".tostring()", b".tobytes()")
        return self.source_to_code(source, self.path)


def respelled(module: str, path: Optional[Sequence[str]]) -> Optional[ModuleSpec]:
    """How to load a module of MXNet that calls a method of arrays that NumPy 2.3 removed.

    Arrays, unlike NumPy, take no new attributes.
    """
    spec = PathFinder.find_spec(module, path)
    if spec is not None and isinstance(spec.loader, SourceFileLoader):
        spec.loader = _Respelled(module, spec.loader.path)
    return spec
