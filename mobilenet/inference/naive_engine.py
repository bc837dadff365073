"""Loads MXNet with its NaiveEngine, for processes that only run inference."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Iterator

from mobilenet.compat.environment import prepare_for_inference


def load_for_inference() -> None:
    """Loads MXNet with the fastest settings for inference, unless it is loaded already.

    Call it before anything imports MXNet; later it has no effect. Settings in the environment take
    precedence. MXNet's message about its engine is suppressed.
    """
    if "mxnet" in sys.modules:
        return
    prepare_for_inference()
    with _silent_standard_error():
        import mxnet as mx  # noqa: PLC0415  after the environment is set

        mx.nd.waitall()  # creates the engine


@contextlib.contextmanager
def _silent_standard_error() -> Iterator[None]:
    """Suppresses what C++ code writes to file descriptor 2 inside the block."""
    shown, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(shown, 2)
        os.close(nowhere)
        os.close(shown)
