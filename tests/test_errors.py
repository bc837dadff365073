"""What the system refuses, in words that help."""

from __future__ import annotations

import ctypes
import errno
import os

import pytest

from mobilenet.errors import reason


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "make room, or choose another disk"),
        (errno.EROFS, "choose a place that can be written to"),
        (errno.EACCES, "change its permissions, or choose another place"),
    ],
)
def test_a_remedy_follows_what_the_system_says(number: int, remedy: str) -> None:
    assert reason(OSError(number, os.strerror(number))) == f"{os.strerror(number)}; {remedy}"


def test_an_error_without_a_remedy_is_itself() -> None:
    assert reason(OSError(errno.EIO, "Input/output error")) == "Input/output error"
    assert reason(OSError("no number")) == "no number"


def test_a_library_that_the_loader_does_not_find() -> None:
    with pytest.raises(OSError, match="libnone") as caught:
        ctypes.CDLL("libnone.so.1")
    assert reason(caught.value) == (
        "libnone.so.1: cannot open shared object file: No such file or directory;"
        " install the package that has this library"
    )
