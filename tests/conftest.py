"""What every test may ask for."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from weight_server import WeightServer, serving

# OpenMP's waiting threads spin by default, which multiplies the time of a test on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# A job that a script starts in the background ignores Ctrl-C, and so would all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

import mobilenet  # noqa: E402, F401  repairs NumPy before any test imports mxnet


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real images and weights that are not part of the repository, or a skip."""
    beside = Path(__file__).parent.parent.parent / "shared"
    folder = Path(os.environ.get("MOBILENET_SHARED", beside))
    if not (folder / "data").is_dir():
        pytest.skip(f"needs real images and weights in {folder} (or in $MOBILENET_SHARED)")
    return folder


# What would lead to weights that somebody has fetched on this machine, or keep from fetching them.
_OF_WEIGHTS = ("MXNET_HOME", "HF_HOME", "HF_HUB_CACHE", "MOBILENET_OFFLINE", "HF_HUB_OFFLINE")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WeightServer]:
    """A host of weights on 127.0.0.1, and a home into which nothing was fetched."""
    for name in _OF_WEIGHTS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as running:
        monkeypatch.setenv("MXNET_GLUON_REPO", f"{running.url}/")
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running
