"""Reads and writes the files of one checkpoint: arrays, state, and digests that detect damage.

RUN/checkpoints/step-00012345/ (with -epoch-0012 at the end of an epoch) has one NDArray file per
group of arrays, and `state.json` with the SHA-256 of every file and of itself. Nothing is
unpickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Iterator, Mapping

import mxnet as mx

from mobilenet import __version__, files
from mobilenet.errors import WeightsError, one_line, shortened
from mobilenet.json_fields import check_fields
from mobilenet.network.params_file import read_arrays, write_arrays
from mobilenet.runs.epoch_record import EpochRecord, Progress

_STATE = "state.json"
_SHA256 = "sha256"
_FILE_NAME = re.compile(r"\w[\w.-]*", re.ASCII)

Arrays = Mapping[str, mx.nd.NDArray]


@dataclass(frozen=True)
class State:
    """The content of a checkpoint besides its arrays.

    Attributes:
        progress: Steps and epochs so far.
        config: The run's configuration as YAML.
        data: Digests of the record files by split and kind.
        weights: The group of arrays that is validated and exported.
        package_version: The version of this package that wrote the checkpoint.
        arithmetic: Other circumstances on which the last bits of the arrays depend, by name.
        teacher: SHA-256 and input of the teacher; empty without a teacher.
    """

    progress: Progress
    config: str
    data: dict[str, dict[str, str]]
    weights: str
    package_version: str = __version__
    arithmetic: dict[str, str] = field(default_factory=dict)
    teacher: dict[str, str] = field(default_factory=dict)

    @property
    def record(self) -> EpochRecord | None:
        """The epoch at whose end the checkpoint was written; None inside an epoch."""
        history = self.progress.history
        return history[-1] if history and history[-1].step == self.progress.step else None


@dataclass(frozen=True)
class Checkpoint:
    """The checkpoint in the folder `path`."""

    path: Path
    state: State

    def arrays(self, group: str) -> dict[str, mx.nd.NDArray]:
        """The arrays of a group by name, on the CPU.

        Raises:
            WeightsError: They cannot be read.
        """
        return read_arrays(self.path / file_name(group))

    @property
    def weights_file(self) -> Path:
        """The file of parameters that is validated and exported."""
        return self.path / file_name(self.state.weights)


class DamagedError(WeightsError):
    """A file of a checkpoint is missing or has changed; reading it again would not help."""


def file_name(group: str) -> str:
    """The name of the file that holds the arrays of a group."""
    return f"{group}.params"


def is_checkpoint(path: Path) -> bool:
    """Whether the folder `path` is a checkpoint, intact or not."""
    return (path / _STATE).is_file()


def fill(folder: Path, state: State, groups: Mapping[str, Arrays]) -> None:
    """Writes the files of a checkpoint into an empty folder, and flushes them to the disk.

    Raises:
        OSError: A write failed, for instance because the disk is full.
    """
    digests = {}
    for group, arrays in groups.items():
        path = folder / file_name(group)
        with files.open_replaced(path) as file:
            write_arrays(file, arrays)
        digests[path.name] = files.sha256_of(path)
    files.write_json(folder / _STATE, _sealed({**asdict(state), "files": digests}))


def _sealed(content: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(content, sort_keys=True)
    return {**content, _SHA256: hashlib.sha256(text.encode()).hexdigest()}


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in the folder `path`, after checking the digests of all its files.

    Raises:
        DamagedError: A file is missing or has changed.
        WeightsError: A file cannot be read now, or another version of the package wrote it.
    """
    state, digests = _read(path)
    for name, digest in digests.items():
        with _read_errors_told(path):
            if files.sha256_of(path / name) != digest:
                raise DamagedError(f"{path}: damaged checkpoint: {name} is not as it was written")
    return Checkpoint(path, state)


def read_state(path: Path) -> State:
    """The state of the checkpoint in the folder `path`, without checking its arrays.

    Raises:
        DamagedError: The state is missing or has changed.
        WeightsError: It cannot be read now, or another version of the package wrote it.
    """
    return _read(path)[0]


def _read(path: Path) -> tuple[State, dict[str, str]]:
    with _read_errors_told(path):
        text = (path / _STATE).read_bytes()
    try:
        content = json.loads(text)
        seal = content.pop(_SHA256)
        is_intact = _sealed(content)[_SHA256] == seal
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        is_intact = False
    if not is_intact:
        raise DamagedError(f"{path}: damaged checkpoint: {_STATE} is not as it was written")
    try:
        digests = content.pop("files")
        progress = Progress.from_json(content.pop("progress"))
        state = State(progress, **content)
        check_fields(state)
        _check_names(digests, state.weights)
        return state, digests
    except (KeyError, TypeError) as error:  # intact, but with fields of another version
        writer = one_line(shortened(str(content.get("package_version", "of an unknown version"))))
        raise WeightsError(
            f"{path}: written by mobilenet {writer}, whose checkpoints this version,"
            f" {__version__}, cannot read: use that version or a newer one"
        ) from error


def _check_names(digests: dict[str, str], weights: str) -> None:
    """Only files of the checkpoint's own folder are ever read, and none without a digest."""
    if file_name(weights) not in digests or not all(map(_FILE_NAME.fullmatch, digests)):
        raise TypeError("files of other places, or none for the weights")


@contextlib.contextmanager
def _read_errors_told(path: Path) -> Iterator[None]:
    """Distinguishes missing files from files that cannot be read at the moment."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        name = Path(error.filename or path).name
        raise DamagedError(f"{path}: no complete checkpoint: {name}: {error.strerror}") from error
    except OSError as error:
        name = Path(error.filename or path).name
        raise WeightsError(
            f"{path}: {name} cannot be read: {error.strerror}; it may be intact: try again, or move"
            " this checkpoint elsewhere to go on without it"
        ) from error
