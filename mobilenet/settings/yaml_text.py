"""YAML text as a tree of written values, each with the place where it stands and no type yet.

Reads mappings, lists and scalars of one document; refuses tags, anchors, merges, repeated keys and
keys that are no names. What the values mean is for `mobilenet.settings.field_types` to say.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Iterator, Union

import yaml

from mobilenet.errors import ConfigError, one_line, shortened

MAX_DEPTH = 20
_NULLS = ("", "~", "null", "Null", "NULL")
_Events = Iterator[tuple[Any, str]]


@dataclasses.dataclass(frozen=True)
class Given:
    """A value as it was written, before it has a type: a text, a list or a mapping.

    `where` says who wrote it, such as ``run.yaml:3``.
    """

    where: str
    content: Union[str, list[Given], dict[str, Given]]
    quoted: bool = False

    @property
    def is_null(self) -> bool:
        """Whether it is one of YAML's words for no value, or nothing at all."""
        return not self.quoted and self.content in _NULLS

    def __str__(self) -> str:
        if isinstance(self.content, list):
            return f"a list of {len(self.content)}"
        if isinstance(self.content, dict):
            return "a section"
        if self.is_null:
            return self.content or "nothing"
        return ("the quoted text " if self.quoted else "") + repr(shortened(self.content))


def document(text: str, place: Callable[[int], str]) -> Given:
    """The tree of a YAML text, null if it is empty; `place` is what to call its n-th line.

    Raises:
        ConfigError: It is not YAML, or uses what is not read here.
    """
    # From the parser's events, not its nodes: they come one by one, so that the limit on the
    # depth acts before anything recurses.
    given = Given(place(1), "")
    events = _checked(_events(text, place))
    for event, where in events:
        if isinstance(event, yaml.NodeEvent):
            given = _value(event, where, events, "")
    return given


def _value(event: Any, where: str, events: _Events, key: str) -> Given:
    if isinstance(event, yaml.ScalarEvent):
        return Given(where, event.value, quoted=event.style is not None)
    if isinstance(event, yaml.MappingStartEvent):
        return Given(where, _mapping(events, key))
    items: list[Given] = []
    for item, item_where in events:
        if isinstance(item, yaml.SequenceEndEvent):
            break
        items.append(_value(item, item_where, events, f"{key}[{len(items)}]"))
    return Given(where, items)


def _mapping(events: _Events, key: str) -> dict[str, Given]:
    entries: dict[str, Given] = {}
    for event, where in events:
        if isinstance(event, yaml.MappingEndEvent):
            break
        if not isinstance(event, yaml.ScalarEvent):
            raise fault(where, key, "a key must be a name, not a list or a section")
        name = event.value
        if name in entries:
            raise given_twice(where, dotted(key, name), entries[name])
        # The line of a setting is that of its key, even where the value begins further down.
        entries[name] = _value(next(events)[0], where, events, dotted(key, name))
    return entries


def _checked(events: _Events) -> _Events:
    depth = documents = 0
    for event, where in events:
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if documents > 1:
            raise fault(where, "", "a second document begins; settings are a single one")
        if depth > MAX_DEPTH:
            raise fault(where, "", f"nested more than {MAX_DEPTH} deep")
        if getattr(event, "anchor", None):
            raise fault(
                where, "", "anchors and aliases are not read; quote a text that begins with & or *"
            )
        if getattr(event, "tag", None):
            raise fault(where, "", "tags are not read; quote a text that begins with !")
        yield event, where


def _events(text: str, place: Callable[[int], str]) -> _Events:
    try:
        loader: Any = yaml.SafeLoader(text)
        while loader.check_event():
            event = loader.get_event()
            yield event, place(event.start_mark.line + 1)
    except yaml.reader.ReaderError as error:
        where = place(text.count("\n", 0, error.position) + 1)
        raise fault(where, "", f"character U+{error.character:04X} is not allowed") from error
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark
        problem = " ".join(filter(None, (error.problem, error.context)))
        raise fault(place(mark.line + 1), "", f"not YAML: {one_line(problem)}") from error
    except (ValueError, OverflowError) as error:
        # PyYAML converts the digits of the escape "\UFFFFFFFF" and of a %YAML line unchecked.
        problem = "not YAML: a number in an escape or a directive is too large"
        raise fault(place(loader.line + 1), "", problem) from error


def dotted(section: str, name: str) -> str:
    """The key of the setting `name` in `section`, which is empty at the top."""
    shown = shortened(name) if name.isidentifier() else repr(shortened(name))
    return f"{section}.{shown}" if section else shown


def fault(where: str, key: str, problem: str) -> ConfigError:
    """The error that says on one line where, which setting and what is wrong with it."""
    return ConfigError(": ".join(filter(None, (where, key, problem))))


def given_twice(where: str, key: str, first: Given) -> ConfigError:
    """The error for a setting that was given before, as `first`."""
    return fault(where, key, f"given twice; the first is {first.where}")
