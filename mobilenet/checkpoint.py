"""Checkpoints: a folder each, that appears whole or not at all and proves itself when it is read.

RUN/checkpoints/step-00012345/ holds arrays as NDArray files and `state.json`, which is written last
and names the SHA-256 of every other file. The folder is filled under a temporary name, flushed to
the disk and renamed; whatever kills the process, every folder of the final form is complete, and
what the disk damages later is found by its digest.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Mapping, Optional

import mxnet as mx

from mobilenet import __version__, files, weights
from mobilenet.errors import WeightsError

_STATE = "state.json"
_PREFIX = "step-"
_TEMPORARY = ".step-"

Arrays = Mapping[str, mx.nd.NDArray]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose files have the digests that it states.

    Attributes:
        path: Its folder.
        step: Steps that were done.
        weights: Name of the group of arrays that is validated and exported.
        progress: What else the training saved, plain JSON.
    """

    path: Path
    step: int
    weights: str
    progress: dict[str, Any]

    def arrays(self, group: str) -> dict[str, mx.nd.NDArray]:
        """The arrays of a group by name, on the CPU."""
        return weights.read_arrays(self.path / _file_name(group))

    @property
    def weights_path(self) -> Path:
        """The file of parameters that is validated and exported."""
        return self.path / _file_name(self.weights)

    @property
    def accuracy(self) -> Optional[float]:
        """Top-1 accuracy in the validation just before the checkpoint, if there was one."""
        validation = self.progress.get("validation")
        return None if validation is None else float(validation["top1"])


def _file_name(group: str) -> str:
    return f"{group}.params"


def folder_of(run: Path) -> Path:
    """Where a run keeps its checkpoints."""
    return run / "checkpoints"


def save(
    run: Path, step: int, groups: Mapping[str, Arrays], weights_group: str, progress: dict[str, Any]
) -> Path:
    """Writes the checkpoint of a step; the arrays of each group become one file.

    Raises:
        OSError: The disk is full or the folder cannot be written to; older checkpoints are intact.
    """
    final = folder_of(run) / f"{_PREFIX}{step:08d}"
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=final.parent))
    try:
        digests = {}
        for group, arrays in groups.items():
            path = temporary / _file_name(group)
            _save_arrays(path, arrays)
            digests[path.name] = files.sha256_of(path)
        state = {
            "step": step,
            "weights": weights_group,
            "package_version": __version__,
            "sha256": digests,
            "progress": progress,
        }
        files.write_json(temporary / _STATE, state)
        temporary.chmod(0o755)
        if final.exists():
            shutil.rmtree(final)
        temporary.rename(final)
        _flush(final.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return final


def _save_arrays(path: Path, arrays: Arrays) -> None:
    mx.nd.save(str(path), dict(arrays))
    _flush(path)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in the folder `path`.

    Raises:
        WeightsError: It is incomplete or a file has another digest than when it was written.
    """
    try:
        state = json.loads((path / _STATE).read_text(encoding="utf-8"))
        damaged = [n for n, sha in state["sha256"].items() if files.sha256_of(path / n) != sha]
        checkpoint = Checkpoint(path, state["step"], state["weights"], state["progress"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path}: not a complete checkpoint ({error})") from error
    if damaged:
        raise WeightsError(f"{path}: damaged since it was written: {', '.join(damaged)}")
    return checkpoint


def paths(run: Path) -> list[Path]:
    """The folders of a run's checkpoints, oldest first."""
    return sorted(folder_of(run).glob(f"{_PREFIX}*"))


def newest_checkpoint(run: Path, warn: Callable[[str], None]) -> Optional[Checkpoint]:
    """The newest checkpoint that is intact; `warn` is told of newer ones that are not."""
    for path in reversed(paths(run)):
        try:
            return read_checkpoint(path)
        except WeightsError as error:
            warn(f"{error}; falling back to the one before")
    return None


def best_checkpoint(run: Path) -> Path:
    """The checkpoint of a run with the best validation, the earliest of equals.

    Raises:
        WeightsError: The run has none that was validated.
    """
    validated = []
    for path in paths(run):
        checkpoint = read_checkpoint(path)
        if checkpoint.accuracy is not None:
            validated.append((checkpoint.accuracy, -checkpoint.step, path))
    if not validated:
        raise WeightsError(f"{run}: has no checkpoint that was validated")
    return max(validated)[2]


def weights_file(path: Path) -> Path:
    """The file of parameters that is validated and exported, of the checkpoint at `path`.

    Raises:
        WeightsError: The checkpoint is incomplete or damaged.
    """
    return read_checkpoint(path).weights_path
