"""The settings of a run: YAML text into frozen, typed dataclasses, and back to text.

Door: `load`, `loads`, `dump`, `schema.Config`. Must not know MXNet or another room.
"""

from mobilenet.settings.field_types import SettingError
from mobilenet.settings.reading import SettingDoc, documentation, dump, load, loads

__all__ = ["SettingDoc", "SettingError", "documentation", "dump", "load", "loads"]
