"""A host of weights, and an empty home that nothing was fetched into."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from weight_server import WeightServer, serving

VARIABLES = ("MXNET_HOME", "HF_HOME", "HF_HUB_CACHE", "MOBILENET_OFFLINE", "HF_HUB_OFFLINE")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WeightServer]:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as running:
        monkeypatch.setenv("MXNET_GLUON_REPO", f"{running.url}/")
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running
