"""Finds the configurations that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Union

_PACKAGE = Path(__file__).parent.parent


def shipped(text: Union[str, Path]) -> Path:
    """The path of a configuration file, if there is none the one of that name in the package.

    So `configs/quickstart.yaml` is found from every folder, and without the repository.
    """
    path, own = Path(text), _PACKAGE / text
    return own if not path.exists() and own.is_file() else path
