"""Preparing, and looking at what came of it without this package's reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mxnet as mx

from mobilenet.data.manifest import Manifest
from mobilenet.packing.prepare import PrepareOptions, prepare


def run(source: Any, output: Path, **options: Any) -> Manifest:
    return prepare(PrepareOptions(source, output, **options))


def records(path: Path) -> list[tuple[int, int, bytes]]:
    """Key, label and image of every record, read by MXNet."""
    reader = mx.recordio.MXIndexedRecordIO(str(path.with_suffix(".idx")), str(path), "r")
    found = []
    for key in reader.keys:
        header, image = mx.recordio.unpack(reader.read_idx(key))
        assert header.id == key
        found.append((key, int(header.label), image))
    reader.close()
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
