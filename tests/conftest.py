"""What every test may ask for."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

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
