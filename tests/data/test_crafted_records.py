"""Crafted record files, indexes and manifests: no signal, no traceback, no more than 1 GB."""

from __future__ import annotations

from pathlib import Path

import crafted_records
import pytest
from crafting import assert_read_or_refused


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crafted")
    crafted_records.write_whole(folder)
    return folder


@pytest.mark.parametrize(
    ("count", "seed"), [(30, 0), pytest.param(1000, 1, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("kind", ["rec", "idx", "json"])
def test_crafted_files_are_read_or_refused(folder: Path, kind: str, count: int, seed: int) -> None:
    assert_read_or_refused("crafted_records", folder, kind, count, seed)
