"""MXNet as a process loads it that only infers."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Iterator

from mobilenet.compat import prepare_for_inference


def load_for_inference() -> None:
    """Loads MXNet with what inference is fastest with; does nothing where MXNet is loaded already.

    MXNet writes on standard error that it does not take its usual engine; that is no news here.
    """
    if "mxnet" in sys.modules:
        return
    prepare_for_inference()
    with _silent_standard_error():
        import mxnet as mx  # noqa: PLC0415  after the environment is set

        mx.nd.waitall()  # which makes the engine


@contextlib.contextmanager
def _silent_standard_error() -> Iterator[None]:
    """Within the block nothing is shown of what C++ code writes to file descriptor 2."""
    shown, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(shown, 2)
        os.close(nowhere)
        os.close(shown)
