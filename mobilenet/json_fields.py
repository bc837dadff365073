"""Holds what JSON gave for a dataclass against the types of its fields."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_MAX_INTEGER = 1 << 63
_SHOWN = 60


def check_fields(item: object) -> None:
    """Looks at every field of a dataclass or named tuple, and into what the fields hold.

    Raises:
        TypeError: One is of another type, or a whole number of more than 64 bits; says which.
    """
    for name, kind in get_type_hints(type(item)).items():
        value = getattr(item, name)
        if not _is(value, kind):
            raise TypeError(f"{name} is {_text(value)[:_SHOWN]}")


def _is(value: Any, kind: Any) -> bool:  # noqa: PLR0911 - one line for each kind
    parts, origin = get_args(kind), get_origin(kind)
    if kind is float:
        return type(value) is float or _is(value, int)
    if kind is int:
        return type(value) is int and abs(value) < _MAX_INTEGER
    if origin is Union:
        return any(_is(value, part) for part in parts)
    if origin is tuple:
        return isinstance(value, tuple) and len(value) == len(parts) and all(map(_is, value, parts))
    if origin is Literal:
        return value in parts
    if origin in (dict, list):
        items = [*value, *value.values()] if isinstance(value, dict) else value
        kinds = [part for part in parts for _ in value] if isinstance(value, origin) else []
        return isinstance(value, origin) and all(map(_is, items, kinds))
    if dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"):
        hints = get_type_hints(kind).items()
        return isinstance(value, kind) and all(_is(getattr(value, n), inner) for n, inner in hints)
    return kind is Any or isinstance(value, kind)


def _text(value: Any) -> str:
    try:
        return repr(value)
    except (ValueError, RecursionError):  # thousands of digits, or of brackets
        return f"of the type {type(value).__name__}"
