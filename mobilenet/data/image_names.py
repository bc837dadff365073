"""The names that the images of a record file had as files: `train.tsv` beside `train.rec`.

One line per record, in the order of the index: key, label, class folder and file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

SUFFIX = ".tsv"


def name_line(key: int, label: int, name: str) -> str:
    """The line of a record; `name` is what `packing.image_order.Image` has."""
    return f"{key}\t{label}\t{name}\n"


def read_names(path: Path, keys: Sequence[int]) -> tuple[str, ...]:
    """The name of each record of an index with these keys.

    Returns:
        Nothing if there is no such file, or it is that of other records: a name serves messages
        and tables, and the wrong one is worse than none.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    except (OSError, UnicodeDecodeError):
        return ()
    columns = [line.split("\t") for line in lines]
    if [row[0] for row in columns] != [*map(str, keys)] or any(len(row) != 3 for row in columns):
        return ()
    return tuple(row[2] for row in columns)
