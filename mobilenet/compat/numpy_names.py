"""Restores exactly the names in NumPy that MXNet 1.9.1 uses and NumPy has removed.

NumPy 1.24 removed aliases of built-in types; 2.0 and later removed aliases of constants, functions
and a method. `tests/compat/test_numpy_names.py` finds the names in MXNet's sources.
"""

from __future__ import annotations

import functools
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType, SimpleNamespace
from typing import Any, Callable, Optional, Sequence

# Functions that have another name today.
_RENAMED = {
    "alltrue": "all",
    "product": "prod",
    "round_": "round",
    "sometrue": "any",
    "trapz": "trapezoid",
}
# Already removed by NumPy 1.20. MXNet needs the names, not the functions.
_FINANCIAL = ("mirr", "npv", "pmt", "ppmt", "pv", "rate")


def repair_numpy() -> None:
    """Restores the names that the installed NumPy lacks."""
    try:
        import numpy  # noqa: PLC0415 - it takes most of the time of `--help`
    except ModuleNotFoundError:
        return  # `mobilenet.__main__` reports it
    for name, value in _others(numpy).items():
        _put_back(numpy, name, value)
    for name in _FINANCIAL:
        _put_back(numpy, name, _financial)
    for name in _RENAMED.keys() - vars(numpy).keys():
        _put_back(numpy, name, _own_function(getattr(numpy, _RENAMED[name])))


def _put_back(numpy: ModuleType, name: str, value: object) -> None:
    if name not in vars(numpy):
        setattr(numpy, name, value)


def _others(numpy: Any) -> dict[str, object]:
    """Built-in types, constants, and two functions without a successor of the same behaviour."""
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


def _own_function(function: Callable[..., object]) -> Callable[..., object]:
    """A wrapper, since MXNet keeps only one operator, the last, for each function object."""

    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        return function(*args, **kwargs)

    return call


def _financial(*_: object, **__: object) -> None:
    raise RuntimeError("NumPy has had no financial functions since 1.20; see numpy-financial")


class _Respelled(SourceFileLoader):
    """Compiles a module after replacing the removed method `tostring` of arrays by `tobytes`."""

    def get_code(self, fullname: str) -> Any:  # noqa: ARG002 - as it is called
        source = self.get_data(self.path).replace(b".tostring()", b".tobytes()")
        return self.source_to_code(source, self.path)


def respelled(module: str, path: Optional[Sequence[str]]) -> Optional[ModuleSpec]:
    """The import spec of a module of MXNet that calls `tostring`, which NumPy 2.3 removed.

    The method itself cannot be restored: arrays take no new attributes.
    """
    spec = PathFinder.find_spec(module, path)
    if spec is not None and isinstance(spec.loader, SourceFileLoader):
        spec.loader = _Respelled(module, spec.loader.path)
    return spec
