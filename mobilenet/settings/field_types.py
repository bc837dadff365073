"""What each type of field accepts: a written value becomes a typed one or a one-line error.

Nothing here knows YAML; `mobilenet.settings.yaml_text` reads it.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
import os
import re
from typing import (
    Annotated,
    Any,
    Callable,
    Iterable,
    Literal,
    Optional,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from mobilenet.errors import ConfigError, Mistakes, did_you_mean, one_line, shortened, together
from mobilenet.settings.yaml_text import Given, dotted, fault

# Digits are bounded because Python refuses to convert integers of thousands of digits; a leading
# zero is refused because YAML 1.1 reads 010 as eight.
_INTEGER = re.compile(r"[-+]?(0|[1-9](_?[0-9]){0,99})")
_NUMBER = re.compile(r"[-+]?([0-9]+(_[0-9]+)*(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_BOUNDS = {
    "at_least": operator.ge,
    "above": operator.gt,
    "at_most": operator.le,
    "below": operator.lt,
}
_NOUNS = {bool: "true or false", int: "an integer", float: "a number", str: "text"}


@dataclasses.dataclass(frozen=True)
class Range:
    """The bounds of a number, for ``Annotated[float, Range(at_least=0, below=1)]``."""

    at_least: Optional[float] = None
    above: Optional[float] = None
    at_most: Optional[float] = None
    below: Optional[float] = None

    def __contains__(self, value: float) -> bool:
        return all(_BOUNDS[name](value, bound) for name, bound in self._bounds())

    def __str__(self) -> str:
        return " and ".join(f"{name.replace('_', ' ')} {bound}" for name, bound in self._bounds())

    def _bounds(self) -> list[tuple[str, float]]:
        return [(name, bound) for name, bound in vars(self).items() if bound is not None]


class Auto(int):
    """The value `auto` of a number that is computed later; 0 until then."""

    def __repr__(self) -> str:
        return "auto"

    __str__ = __repr__


AUTO = Auto(0)
"""In the type of a setting: `auto` may stand for the number."""

Fraction = Annotated[float, Range(at_least=0, at_most=1)]
Positive = Annotated[float, Range(above=0)]
NotNegative = Annotated[float, Range(at_least=0)]
Count = Annotated[int, Range(at_least=1)]
CountOrZero = Annotated[int, Range(at_least=0)]


class SettingError(ConfigError):
    """A setting that does not go with the others, raised by the ``__post_init__`` of its dataclass.

    `key` is relative to that dataclass and may be dotted; the reader of the settings adds the file,
    the line and the section.
    """

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}")
        self.key = key
        self.message = message


def decode(given: Given, kind: Any, key: str = "", default: Any = None) -> Any:
    """The value of type `kind` that `given` means; `default` completes a section.

    Raises:
        ConfigError: It is not of that type, out of range, or a section's settings disagree.
    """
    inner, bounds, optional = _taken_apart(kind)
    if optional and given.is_null:
        return None
    if given.content == str(AUTO) and _may_be_auto(kind):
        return AUTO
    if _is_section(inner):
        return _section(given, inner, key, default)
    value: Any = _items(given, inner, key) if _is_list(inner) else _scalar(given, inner)
    if value is None or not all(value in bound for bound in bounds):
        problem = f"expected {describe(kind)}, not {given}{_hint(given, inner)}"
        raise fault(given.where, key, problem)
    return value


def describe(kind: Any) -> str:
    """What a setting of type `kind` accepts, such as ``null or a number, above 0``."""
    inner, bounds, optional = _taken_apart(kind)
    word = "null or " if optional else f"{AUTO} or " if _may_be_auto(kind) else ""
    return word + ", ".join([_noun(inner), *map(str, bounds)])


def section_type(kind: Any) -> Optional[type]:
    """The dataclass of a section, required or optional; None for other settings."""
    inner: type = _taken_apart(kind)[0]
    return inner if _is_section(inner) else None


@functools.cache
def settings_of(schema: type) -> dict[str, tuple[dataclasses.Field[Any], Any]]:
    """The fields of a dataclass and their types by name, in the order they are written."""
    kinds = get_type_hints(schema, include_extras=True)
    return {field.name: (field, kinds[field.name]) for field in dataclasses.fields(schema)}


def default_of(field: dataclasses.Field[Any], section: Any) -> Any:
    """What a field not given is, as in `section` if that is one, or ``dataclasses.MISSING``."""
    if dataclasses.is_dataclass(section):
        return getattr(section, field.name)
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _taken_apart(kind: Any) -> tuple[Any, tuple[Range, ...], bool]:
    # Optional[Annotated[float, Range(...)]] is float, its ranges, and that it may be null.
    optional = get_origin(kind) is Union
    if optional:
        (kind,) = (part for part in get_args(kind) if part is not type(None))
    if get_origin(kind) is Annotated:
        kind, *bounds = get_args(kind)
        return kind, tuple(bound for bound in bounds if isinstance(bound, Range)), optional
    return kind, (), optional


def _may_be_auto(kind: Any) -> bool:
    return get_origin(kind) is Annotated and any(part is AUTO for part in get_args(kind))


def _is_section(kind: Any) -> bool:
    return dataclasses.is_dataclass(kind)


def _is_list(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _noun(kind: Any) -> str:
    if _is_section(kind):
        return "a section"
    if _is_list(kind):
        item_kinds = get_args(kind)
        size = "" if ... in item_kinds else f" of {len(item_kinds)}"
        return f"a list{size}, each item {describe(item_kinds[0])}"
    choices = _choices(kind)
    return f"one of {', '.join(map(str, choices))}" if choices else _NOUNS[kind]


def _choices(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) is Literal else ()


def _items(given: Given, kind: Any, key: str) -> Optional[tuple[Any, ...]]:
    # None if it is no list, or not as long as tuple[X, X, X] says.
    item_kind, *others = get_args(kind)
    if not isinstance(given.content, list):
        return None
    if ... not in others and len(given.content) != 1 + len(others):
        return None
    items = enumerate(given.content)
    return tuple(decode(item, item_kind, f"{key}[{index}]") for index, item in items)


def _scalar(given: Given, kind: Any) -> Any:
    # None if it is not of that type; what may be null was seen to before.
    if not isinstance(given.content, str):
        return None
    for choice in _choices(kind):
        if given.content == str(choice) and (isinstance(choice, str) or not given.quoted):
            return choice
    if kind is str:
        return None if given.is_null or not _may_be_a_path(given.content) else given.content
    return None if given.quoted or kind not in _READERS else _READERS[kind](given.content)


def _may_be_a_path(text: str) -> bool:
    # YAML's escapes can also write "\0" and half a surrogate pair, which no file name has.
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _read_bool(text: str) -> Optional[bool]:
    return {"true": True, "false": False}.get(text)


def _read_int(text: str) -> Optional[int]:
    return int(text) if _INTEGER.fullmatch(text) else None


def _read_float(text: str) -> Optional[float]:
    number = float(text) if _NUMBER.fullmatch(text) else math.nan
    return number if math.isfinite(number) else None


_READERS: dict[type, Callable[[str], Any]] = {bool: _read_bool, int: _read_int, float: _read_float}


def _section(given: Given, schema: type, key: str, default: Any) -> Any:
    # "model:" with every line below it commented out is an empty section.
    entries = {} if given.content == "" and not given.quoted else given.content
    if not isinstance(entries, dict):
        raise fault(given.where, key, f"expected a section of settings, not {given}")
    found, values = Mistakes(), {}
    with found.noted():
        _refuse_unknown(entries, schema, key)
    for name, (field, kind) in settings_of(schema).items():
        value = default_of(field, default)
        with found.noted():
            if name in entries:
                value = decode(entries[name], kind, dotted(key, name), value)
            elif value is dataclasses.MISSING:
                value = _missing(given.where, kind, dotted(key, name))
        values[name] = value
    found.check()  # whether settings go together is only known of those that are right
    try:
        return schema(**values)
    except SettingError as error:
        full_key = functools.reduce(dotted, error.key.split("."), key)
        problem = shortened(one_line(error.message), 300)
        raise fault(_origin(given, error.key), full_key, problem) from error


def _missing(where: str, kind: Any, key: str) -> Any:
    # A section that must be given may still consist of defaults alone; if not, it names its part.
    if section_type(kind):
        return decode(Given(where, {}), kind, key)
    raise fault(where, key, f"missing; expected {describe(kind)}")


def _origin(given: Given, key: str) -> str:
    for name in key.split("."):
        if not isinstance(given.content, dict) or name not in given.content:
            break
        given = given.content[name]
    return given.where


class UnknownKeyError(ConfigError):
    """A key that its section does not have; `reading`, which knows all sections, adds a hint."""

    def __init__(self, where: str, section: str, name: str, known: Iterable[str]) -> None:
        super().__init__(str(fault(where, dotted(section, name), "unknown key")))
        self.section, self.name, self.known = section, name, tuple(known)


def _refuse_unknown(entries: dict[str, Given], schema: type, key: str) -> None:
    known = settings_of(schema)
    unknown = {name: entry.where for name, entry in entries.items() if name not in known}
    if unknown:
        raise together(UnknownKeyError(at, key, name, known) for name, at in unknown.items())


def _hint(given: Given, kind: Any) -> str:
    if not isinstance(given.content, str):
        return ""
    if _is_list(kind):
        return "" if given.is_null else f"; did you mean [{one_line(shortened(given.content))}]?"
    return did_you_mean(given.content, map(str, _choices(kind)))
