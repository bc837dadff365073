"""The settings of a run: YAML text into frozen, typed dataclasses, and back to text.

Door: `load`, `loads`, `dump`, `value` for a single setting, `schema.Config` for all of them. Must
not know MXNet or another room.
"""

from mobilenet.settings.field_types import SettingError
from mobilenet.settings.key_hints import keys_meant
from mobilenet.settings.reading import (
    SettingDoc,
    documentation,
    dump,
    key_names,
    load,
    loads,
    type_of,
    value,
)

__all__ = [
    "SettingDoc",
    "SettingError",
    "documentation",
    "dump",
    "key_names",
    "keys_meant",
    "load",
    "loads",
    "type_of",
    "value",
]
