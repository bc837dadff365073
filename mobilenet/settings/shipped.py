"""Finds the configurations that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Union

_PACKAGE = Path(__file__).parent.parent


def shipped(text: Union[str, Path]) -> Path:
    """The path of a configuration; where there is nothing, of the package's own of that name.

    So that `configs/quickstart.yaml` is found from every folder, also without the repository.
    """
    path, own = Path(text), _PACKAGE / text
    return own if not path.exists() and own.is_file() else path
