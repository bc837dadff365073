"""Converts settings given as Python arguments to the form of the command line."""

from __future__ import annotations

import json
from typing import Any, Iterator, Mapping

from mobilenet.errors import ConfigError
from mobilenet.runs import run_folder
from mobilenet.settings.schema import Config

_SECTION_OF_SEVERAL = "training"


def overrides_of(changes: Mapping[str, Any]) -> Iterator[str]:
    """The changes as on the command line, `section.name=value`."""
    for name, value in changes.items():
        if isinstance(value, Mapping):
            yield from (f"{name}.{key}={_text(one)}" for key, one in value.items())
        else:
            yield f"{_key_of(name)}={_text(value)}"


def _key_of(name: str) -> str:
    """The setting of this name, with its section.

    Raises:
        ConfigError: No section has one, or several have but not `training`.
    """
    keys = [key for key in run_folder.flat(Config()) if key.partition(".")[2] == name]
    own = [key for key in keys if key.startswith(f"{_SECTION_OF_SEVERAL}.")]
    if len(own or keys) != 1:
        reason = f"could be {' or '.join(keys)}" if keys else "is no setting"
        raise ConfigError(f"{name}: {reason}; name its section, as in model={{'classes': 6}}")
    return (own or keys)[0]


def _text(value: Any) -> str:
    return json.dumps(value, default=str)
