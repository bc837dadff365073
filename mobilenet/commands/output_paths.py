"""Types of arguments for outputs: what cannot be written is refused before the work begins."""

from __future__ import annotations

import os
from argparse import ArgumentTypeError
from pathlib import Path


def to_write(text: str) -> Path:
    """The path of an output; one that cannot be written is refused before the work begins."""
    path = Path(text)
    nearest = next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())
    folder = nearest.parent if nearest == path.absolute() and nearest.is_file() else nearest
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ArgumentTypeError(f"{path}: cannot be written there; choose another place")
    return path


def file_to_write(text: str) -> Path:
    """As `to_write`, of a file."""
    path = to_write(text)
    if path.is_dir():
        raise ArgumentTypeError(f"{path}: is a folder; name a file")
    return path


def folder_to_write(text: str) -> Path:
    """As `to_write`, of a folder."""
    path = to_write(text)
    if path.is_file():
        raise ArgumentTypeError(f"{path}: is a file; name a folder")
    return path
