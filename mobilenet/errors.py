"""The exceptions that end a command with one sentence; `cli` alone catches them."""

from __future__ import annotations

import contextlib
import difflib
import errno
from typing import Iterable, Iterator

_NO_ROOM = "make room, or choose another disk"
_FORBIDDEN = "change its permissions, or choose another place"
_REMEDIES = {
    errno.ENOENT: "check the path",
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.EROFS: "choose a place that can be written to",
    errno.ENOSPC: _NO_ROOM,
    errno.EDQUOT: _NO_ROOM,
    errno.EFBIG: _NO_ROOM,
}


def reason(error: OSError) -> str:
    """The system's error message, and a remedy."""
    remedies = [_REMEDIES[error.errno]] if error.errno in _REMEDIES else []
    if error.errno == errno.ENOENT and "\\" in str(error.filename):
        remedies.append("folders are separated by / here")
    if error.errno is None and ".so" in str(error):  # from the loader of MXNet's library
        remedies.append(_remedy_for_library(str(error)))
    return "; ".join([error.strerror or str(error), *remedies])


# Prefixes of the CUDA libraries that MXNet's build for GPUs links, besides the driver's.
_OF_CUDA = ("libcu", "libnccl.", "libnvrtc.", "libnvToolsExt.")

# In messages of MXNet's allocators for CPUs and GPUs.
_FAILED_ALLOCATIONS = ("Failed to allocate CPU Memory", "out of memory")
LESS_MEMORY = (
    "lower the batch size, or raise training.accumulation, which computes batches in parts"
)


def last_line(error: Exception) -> str:
    """The message of MXNet's library, without positions in its source code."""
    return str(error).rstrip().rpartition("\n")[2].removeprefix("MXNetError: ")


def in_a_sentence(error: RuntimeError | MemoryError) -> str | None:
    """The message for an error of MXNet or NumPy caused by the machine; None for other errors."""
    said = last_line(error)
    if isinstance(error, MemoryError) or any(text in said for text in _FAILED_ALLOCATIONS):
        return f"there is no memory left ({said or 'of the machine'}): {LESS_MEMORY}"
    if said.startswith("CUDA: Check failed"):
        return f"{said}; `mobilenet info --machine` tells what can be used here"
    return None


def _remedy_for_library(message: str) -> str:
    if message.startswith("libcuda."):
        return (
            "it is part of NVIDIA's driver: install that, start the container with `docker run"
            " --gpus all`, or go back to MXNet's build for CPUs (docs/gpus.md)"
        )
    if message.startswith(_OF_CUDA):
        return "run `make setup-gpu`, or see docs/gpus.md"
    return "install the package that has this library"


class UserError(ValueError):
    """A mistake that the user can correct: says what, where and what would be right."""

    exit_code = 2
    _together: tuple[UserError, ...] = ()

    @property
    def mistakes(self) -> tuple[UserError, ...]:
        """The errors that `together` joined into this one; otherwise this error alone."""
        return self._together or (self,)


class ConfigError(UserError):
    """A setting or option that is unknown, repeated, mistyped, out of range or without effect."""


class DataError(UserError):
    """A source, record file or image that cannot be used."""


class WeightsError(UserError):
    """Parameters, a checkpoint or an ONNX file that cannot be read or does not fit the network."""


def together(errors: Iterable[UserError]) -> UserError:
    """One error that tells every mistake of at least one error, each once, in a single line."""
    mistakes = tuple({str(one): one for error in errors for one in error.mistakes}.values())
    if len(mistakes) == 1:
        return mistakes[0]
    kinds = (ConfigError, DataError, WeightsError, UserError)
    kind = next(kind for kind in kinds if all(isinstance(one, kind) for one in mistakes))
    numbered = (f"({number}) {one}" for number, one in enumerate(mistakes, start=1))
    error = kind(f"{len(mistakes)} mistakes: {'; '.join(numbered)}")
    error._together = mistakes
    return error


class Mistakes:
    """Collects what is wrong with a call, so that all of it is told at once."""

    def __init__(self) -> None:
        self._found: list[UserError] = []

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Notes a user's mistake that ends the block, and goes on after it."""
        try:
            yield
        except UserError as error:
            self._found.append(error)

    def check(self) -> None:
        """Does nothing if no mistake was noted.

        Raises:
            UserError: All that were noted, in one.
        """
        if self._found:
            raise together(self._found)


class VerificationError(RuntimeError):
    """The work ran, but its result failed a check: an export differs, or a target was missed."""

    exit_code = 1


class RunStopped(Exception):  # noqa: N818 - not an error, but a request
    """A signal asked a run to stop, and the run has saved its state."""

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number  # the exit code that shells report for the signal


def closest(written: str, known: Iterable[str]) -> str | None:
    """The one of the `known` words that is most like a mistyped one, if any is alike."""
    by_lower_case = {name.lower(): name for name in known}
    close = difflib.get_close_matches(written.lower(), by_lower_case, n=1)
    return by_lower_case[close[0]] if close else None


def did_you_mean(written: str, known: Iterable[str]) -> str:
    """The end of a message that names the word that was meant; empty where none is alike."""
    meant = closest(written, known)
    return "" if meant is None else f"; did you mean {meant!r}?"


def one_line(text: str) -> str:
    """The text with every line break and control character written as its escape."""
    return text if text.isprintable() else repr(text)[1:-1]


def shortened(text: str, limit: int = 60) -> str:
    """The text, or its first `limit` characters and `...` if it is longer."""
    return text if len(text) <= limit else f"{text[:limit]}..."
