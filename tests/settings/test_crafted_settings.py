"""Crafted configurations: no signal, no traceback, no more than 1 GB."""

from __future__ import annotations

from pathlib import Path

import pytest
from crafting import assert_read_or_refused


@pytest.mark.parametrize(
    ("count", "seed"), [(30, 0), pytest.param(1000, 1, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("kind", ["yaml"])
def test_crafted_files_are_read_or_refused(
    tmp_path: Path, kind: str, count: int, seed: int
) -> None:
    assert_read_or_refused("crafted_settings", tmp_path, kind, count, seed)
