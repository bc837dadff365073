"""Checkpoints: a folder each, that appears whole or not at all and proves itself when it is read.

RUN/checkpoints/step-00012345/ (-epoch-0012 where an epoch ends) holds arrays as NDArray files, one
per group, and `state.json`, which names the SHA-256 of every file and of itself. The folder is
filled under a temporary name, flushed to the disk and renamed: whatever kills the process, a folder
of the final name is complete. What a disk damages later is found by its digest when the checkpoint
is read. Nothing is ever unpickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping

import mxnet as mx

from mobilenet import __version__, files
from mobilenet.errors import WeightsError
from mobilenet.network.params_file import read_arrays, write_arrays
from mobilenet.runs.run_state import EpochRecord, Progress

_FOLDER = "checkpoints"
_STATE = "state.json"
_PREFIX = "step-"
_NAME = re.compile(rf"{_PREFIX}\d{{8,}}(-epoch-\d{{4,}})?")
_TEMPORARY = ".temporary-"
_SHA256 = "sha256"

Arrays = Mapping[str, mx.nd.NDArray]


@dataclass(frozen=True)
class State:
    """What a checkpoint knows besides its arrays.

    Attributes:
        progress: How far the run is.
        config: The run's configuration as YAML.
        data: Digests of the record files by split and kind.
        weights: The group of arrays that is validated and exported.
        package_version: That wrote the checkpoint.
        arithmetic: What else the last bits of the arrays depend on, by name.
    """

    progress: Progress
    config: str
    data: dict[str, dict[str, str]]
    weights: str
    package_version: str = __version__
    arithmetic: dict[str, str] = field(default_factory=dict)

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
        """The arrays of a group by name, on the CPU."""
        return read_arrays(self.path / _file_name(group))


def save(run: Path, state: State, groups: Mapping[str, Arrays]) -> Path:
    """Writes a checkpoint, unless it is there; the arrays of each group become one file.

    Returns:
        Its folder.

    Raises:
        OSError: The disk is full or the like; older checkpoints are as they were.
    """
    final = path_of(run, state)
    if final.exists():  # what a run computes up to a step is always the same
        return final
    final.parent.mkdir(exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=final.parent))
    try:
        temporary.chmod(final.parent.stat().st_mode)  # mkdtemp's folders are private
        digests = {}
        for group, arrays in groups.items():
            path = temporary / _file_name(group)
            with files.open_replaced(path) as file:
                write_arrays(file, arrays)
            digests[path.name] = files.sha256_of(path)
        files.write_json(temporary / _STATE, _sealed({**asdict(state), "files": digests}))
        temporary.rename(final)
        files.flush_to_disk(final.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return final


def path_of(run: Path, state: State) -> Path:
    """The folder that `save` makes."""
    # No name is ever used for other content, so that nothing need be removed to make room.
    epoch = "" if state.record is None else f"-epoch-{state.record.epoch:04d}"
    return run / _FOLDER / f"{_PREFIX}{state.progress.step:08d}{epoch}"


def _file_name(group: str) -> str:
    return f"{group}.params"


def _sealed(content: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(content, sort_keys=True)
    return {**content, _SHA256: hashlib.sha256(text.encode()).hexdigest()}


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in the folder `path`, all of whose files are as they were written.

    Raises:
        WeightsError: It is incomplete or damaged.
    """
    state, digests = _read_state(path)
    for name, digest in digests.items():
        with _complaints(path):
            if files.sha256_of(path / name) != digest:
                raise ValueError(f"{name} is not as it was written")
    return Checkpoint(path, state)


def _read_state(path: Path) -> tuple[State, dict[str, str]]:
    with _complaints(path):
        content = json.loads((path / _STATE).read_text(encoding="utf-8"))
        seal = content.pop(_SHA256)
        if _sealed(content)[_SHA256] != seal:
            raise ValueError(f"{_STATE} is not as it was written")
        digests = content.pop("files")
        progress = Progress.from_json(content.pop("progress"))
        return State(progress, **content), digests


@contextlib.contextmanager
def _complaints(path: Path) -> Iterator[None]:
    """Whatever is wrong with the files of a checkpoint becomes one sentence."""
    try:
        yield
    except OSError as error:
        name = Path(error.filename or path).name
        raise WeightsError(f"{path}: no complete checkpoint: {name}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path}: damaged checkpoint: {error}") from error


def checkpoint_paths(run: Path) -> list[Path]:
    """The folders of a run's checkpoints, oldest first; what people put beside them is none."""
    beginning = (run / _FOLDER).glob(f"{_PREFIX}*")
    return sorted(path for path in beginning if _NAME.fullmatch(path.name))


def newest_checkpoint(run: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest intact checkpoint, or None if there is none at all.

    Args:
        run: Folder of the run.
        warn: Is told of each newer one that is damaged.

    Raises:
        WeightsError: All checkpoints are damaged.
    """
    paths = checkpoint_paths(run)
    for path in reversed(paths):
        checkpoint = _intact(path, warn)
        if checkpoint is not None:
            return checkpoint
    if paths:
        raise WeightsError(f"{run}: all of its {len(paths)} checkpoints are damaged")
    return None


def _intact(path: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    try:
        return read_checkpoint(path)
    except WeightsError as error:
        warn(f"{error}; taking the one before it")
        return None


def best(run: Path) -> tuple[Path, EpochRecord]:
    """The checkpoint with the highest top-1 accuracy, the earliest of equals, and its epoch.

    Raises:
        WeightsError: The run has none that was validated.
    """
    records = _validated(run)
    if not records:
        raise WeightsError(f"{run}: has no checkpoint that was validated yet")
    return max(records.items(), key=lambda item: (item[1].top1, -item[1].step))


def best_checkpoint(run: Path) -> Path:
    """The path alone of `best`."""
    return best(run)[0]


def _validated(run: Path) -> dict[Path, EpochRecord]:
    """The validated checkpoints of a run; ones that cannot be read are left out."""
    records = {}
    for path in checkpoint_paths(run):
        with contextlib.suppress(WeightsError):
            record = _read_state(path)[0].record
            if record is not None:
                records[path] = record
    return records


def weights_file(path: Path) -> Path:
    """The file of parameters that is validated and exported, of the checkpoint at `path`.

    Raises:
        WeightsError: The checkpoint is incomplete or damaged.
    """
    return path / _file_name(read_checkpoint(path).state.weights)


def best_weights(run: Path) -> Path:
    """The file of parameters of a run's best checkpoint.

    Raises:
        WeightsError: The run has none that was validated, or it is damaged; names another one.
    """
    path = best_checkpoint(run)
    try:
        return weights_file(path)
    except WeightsError as error:
        others = [other for other in checkpoint_paths(run) if other != path]
        advice = f"; the run's best is lost, but there is {others[-1]}" if others else ""
        raise WeightsError(f"{error}{advice}") from error


def parameters_at(path: Path) -> Path:
    """The file of parameters that `path` stands for: that file, a checkpoint, or a run's best one.

    Raises:
        WeightsError: The folder is neither a checkpoint nor a run with one that was validated.
    """
    if not path.is_dir():
        return path
    return weights_file(path) if (path / _STATE).is_file() else best_weights(path)


def prune(run: Path, keep_last: int, keep_every_epochs: int | None) -> None:
    """Deletes all checkpoints but some.

    Kept are the newest `keep_last`, the best, and those of every `keep_every_epochs`-th epoch.
    """
    records = _validated(run)
    kept = set(checkpoint_paths(run)[-keep_last:])
    if records:
        kept.add(best(run)[0])
    if keep_every_epochs is not None:
        kept.update(p for p, record in records.items() if record.epoch % keep_every_epochs == 0)
    for path in checkpoint_paths(run):
        if path not in kept:
            _delete(path)


def clear_after(run: Path, newest: Checkpoint | None) -> None:
    """Deletes what was left unfinished, and the damaged checkpoints that are newer than `newest`.

    The run will come to their steps again.
    """
    for unfinished in (run / _FOLDER).glob(f"{_TEMPORARY}*"):
        shutil.rmtree(unfinished)
    for path in checkpoint_paths(run):
        if newest is None or path > newest.path:
            _delete(path)


def _delete(folder: Path) -> None:
    """Deletes a checkpoint so that a part of it never has the name of the whole."""
    doomed = folder.with_name(f"{_TEMPORARY}{folder.name}")
    folder.rename(doomed)
    shutil.rmtree(doomed)
