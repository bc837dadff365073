"""JSON and YAML that is nearly right: other numbers and types, deep nests, keys that are twice."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from crafting import EXTREMES, Random, one_of

# As text, for Python would not write some of them.
_VALUES = (
    *map(str, EXTREMES),
    *("1e400", "-1e400", "NaN", "Infinity", "0.5", "true", "null", "9" * 5000, "1" + "0" * 400),
    *('""', '"0"', '"12"', '"\\u0000"', '"\\ud800"', '"../../../etc/passwd"', '"a\\nb"'),
    *("[]", "{}", "[[]]", '[{"a": 1}]', '{"": null}', "[" * 500 + "]" * 500),
    *("[" * 200_000 + "]" * 200_000, "[" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000),
    '"' + "a" * 100_000 + '"',
)
_MARK = "the value that is another"


def wrong_json(content: bytes, random: Random) -> bytes:
    """The JSON with another value, key or structure in one or two places."""
    text = content.decode()
    with contextlib.suppress(ValueError, RecursionError):  # after the first change
        for _ in range(random.integers(1, 3)):
            text = _changed(json.loads(text), random)
    return text.encode("utf-8", "surrogatepass")


def _changed(tree: Any, random: Random) -> str:
    place, key = one_of(list(_places(tree)), random)
    value, how = one_of(_VALUES, random), random.integers(5)
    if how == 0:
        del place[key]
        return json.dumps(tree)
    if how == 1 and isinstance(place, dict):
        place[str(one_of(("", "version", "a" * 100, "\ud800"), random))] = place.pop(key)
        return json.dumps(tree)
    place[key] = _MARK
    marked = json.dumps(tree)
    if how == 2 and isinstance(place, dict):  # a key that is there twice
        value = f"{value}, {json.dumps(key)}: {one_of(_VALUES, random)}"
    return marked.replace(f'"{_MARK}"', value)


def _places(tree: Any) -> Any:
    """The collection and key of every value."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in list(items):
        yield tree, key
        if isinstance(value, (dict, list)):
            yield from _places(value)
