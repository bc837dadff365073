"""Runs notebooks from top to bottom and stores their outputs in place.

`make notebooks` renews all of them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def renew(path: Path) -> None:
    """Runs the notebook at `path` in its own folder; if a cell fails, the file stays as it is.

    Times and versions of tools are not stored, so that only outputs can change.
    """
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=None, record_timing=False, resources=where).execute()
    notebook.metadata.pop("language_info", None)
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        renew(Path(name))
