"""Settings from YAML text and from the command line, as a frozen dataclass; and back to text.

The schema is any frozen dataclass with fields of type bool, int, float, str or ``Literal``, with
``tuple[X, ...]`` or ``tuple[X, X]`` of one of these, another such dataclass, and ``Optional[X]`` of
all; numbers may carry a `Range`. The type of a field alone decides what its text means: ``4e-5`` is
a number where the schema wants a number, and ``yes`` is never true.

Of YAML it reads mappings, lists and scalars in one document, and refuses tags, anchors and merges.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import math
import textwrap
from pathlib import Path
from typing import Any, Iterator, Sequence, TypeVar

import yaml

from mobilenet.errors import ConfigError, Mistakes, one_line, reason, shortened
from mobilenet.settings.field_types import (
    decode,
    default_of,
    describe,
    section_type,
    settings_of,
)
from mobilenet.settings.key_hints import with_hints
from mobilenet.settings.yaml_text import (
    MAX_DEPTH,
    Given,
    document,
    dotted,
    fault,
    given_twice,
)

T = TypeVar("T")

# A record file given for a configuration by mistake must not be read into memory.
_MAX_FILE_BYTES = 1 << 18


def load(schema: type[T], path: Path, overrides: Sequence[str] = ()) -> T:
    """The settings that the YAML file at `path` gives, with `overrides` as in `loads`.

    Raises:
        ConfigError: The file cannot be read, or as for `loads`.
    """
    source = one_line(str(path))
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise fault(source, "", f"cannot be read: {reason(error)}") from error
    if len(content) > _MAX_FILE_BYTES:
        raise fault(source, "", f"longer than {_MAX_FILE_BYTES} bytes, so not a settings file")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise fault(f"{source}:{line}", "", "not UTF-8 text") from error
    return loads(schema, text, source, overrides)


def loads(schema: type[T], text: str, source: str = "<text>", overrides: Sequence[str] = ()) -> T:
    """The settings that a YAML text gives; those it does not give take their defaults.

    An override is ``section.key=value`` with a YAML value. It takes the place of the text's value;
    a mapping is laid over the text's section key by key. `source` names the text in messages.

    Raises:
        ConfigError: A setting is unknown, given twice, mistyped, out of range or does not go with
            the others, or the text is not the YAML that is read here; always a single line.
    """
    source = one_line(source)
    given = document(text, lambda line: f"{source}:{line}")
    if not given.is_null and not isinstance(given.content, dict):
        raise fault(given.where, "", f"expected lines of the form key: value, not {given}")
    given = Given(source, {} if given.is_null else given.content)
    if overrides:
        twice_refused = functools.partial(_merged, replace=False)
        given = _merged(given, functools.reduce(twice_refused, _overrides(overrides)))
    try:
        settings: T = decode(given, schema)
    except ConfigError as error:
        hinted = with_hints(error, key_names(schema))
        if hinted is error:
            raise
        raise hinted from error
    return settings


def key_names(schema: type) -> tuple[str, ...]:
    """The dotted names of all settings, without those of sections."""
    return tuple(_key_names(schema, ""))


def _key_names(schema: type, section: str) -> Iterator[str]:
    for name, (_, kind) in settings_of(schema).items():
        inner = section_type(kind)
        if inner is None:
            yield dotted(section, name)
        else:
            yield from _key_names(inner, dotted(section, name))


def type_of(section: type, name: str) -> Any:
    """The type of the setting `name` of a section, with its range."""
    return settings_of(section)[name][1]


def value(kind: Any, text: str) -> Any:
    """The value that `text` means for a single setting of type `kind`, as `type_of` gives it.

    Raises:
        ConfigError: It is not of that type or out of range; says what is expected.
    """
    return decode(Given("", text), kind)


def dump(config: Any) -> str:
    """The complete YAML text of a settings dataclass, from which `loads` makes an equal one."""
    return _yaml(dataclasses.asdict(config))


@dataclasses.dataclass(frozen=True)
class SettingDoc:
    """What a reference says of one setting or section.

    `key` is dotted, `type` says what is accepted, `docstring` is the string under the field.
    `default` is YAML text, and empty for a section and for a setting that must be given.
    """

    key: str
    type: str
    default: str
    docstring: str


def documentation(schema: type) -> list[SettingDoc]:
    """Every section and setting of a schema, in the order in which they are written there."""
    return list(_documented(schema, "", None))


def _overrides(texts: Sequence[str]) -> list[Given]:
    found, trees = Mistakes(), []
    for text in texts:
        with found.noted():
            trees.append(_override(text))
    found.check()
    return trees


def _override(text: str) -> Given:
    """The tree that holds nothing but the value of one ``section.key=value``."""
    where = f"override {shortened(text)!r}"
    key, equals, value = text.partition("=")
    names = key.split(".")
    if not equals or "" in names:
        raise fault(where, "", "not of the form section.key=value")
    if len(names) > MAX_DEPTH:
        raise fault(where, "", f"nested more than {MAX_DEPTH} deep")
    given = document(value, lambda _: where)
    for name in reversed(names):
        given = Given(where, {name: given})
    return given


def _merged(base: Given, over: Given, key: str = "", *, replace: bool = True) -> Given:
    if not isinstance(base.content, dict) or not isinstance(over.content, dict):
        if not replace:
            raise given_twice(over.where, key, base)
        return over
    entries = {**base.content, **over.content}
    for name in filter(base.content.__contains__, over.content):
        pair = base.content[name], over.content[name]
        entries[name] = _merged(*pair, dotted(key, name), replace=replace)
    return Given(base.where, entries)


class _Dumper(yaml.SafeDumper):
    """Writes a list on one line, and text so that reading gives the same text."""


def _represent_str(dumper: yaml.SafeDumper, text: str) -> Any:
    # PyYAML's own choice of quotes turns a next-line character (U+0085) into a line feed.
    style = None if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


def _represent_tuple(dumper: yaml.SafeDumper, items: tuple[Any, ...]) -> Any:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)


_Dumper.add_representer(str, _represent_str)
_Dumper.add_representer(tuple, _represent_tuple)


def _yaml(value: Any) -> str:
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=math.inf)
    return str(text)


def _documented(schema: type, section: str, default: Any) -> Iterator[SettingDoc]:
    docstrings = _attribute_docstrings(schema)
    for name, (field, kind) in settings_of(schema).items():
        key, value = dotted(section, name), default_of(field, default)
        without = value is dataclasses.MISSING or dataclasses.is_dataclass(value)
        shown = "" if without else _yaml((value,)).strip()[1:-1]
        yield SettingDoc(key, describe(kind), shown, docstrings.get(name, ""))
        inner = section_type(kind)
        if inner:
            yield from _documented(inner, key, value)


def _attribute_docstrings(schema: type) -> dict[str, str]:
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(schema))).body
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in zip(body, body[1:])
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
