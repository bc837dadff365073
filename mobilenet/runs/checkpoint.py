"""Writes a run's checkpoints, and decides which are due, which is the best, and which are kept.

A checkpoint is a folder that is written under a temporary name, flushed to the disk and renamed.
However the process ends, a folder with the final name is complete. Later damage on the disk is
detected by digests when the checkpoint is read; damaged checkpoints are renamed, never deleted.
"""

from __future__ import annotations

import itertools
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable, Mapping

from mobilenet import files
from mobilenet.errors import WeightsError
from mobilenet.runs.checkpoint_folder import (
    Arrays,
    Checkpoint,
    DamagedError,
    State,
    fill,
    read_checkpoint,
    read_state,
)
from mobilenet.runs.epoch_record import EpochRecord, Progress

_FOLDER = "checkpoints"
_PREFIX = "step-"
_NAME = re.compile(rf"{_PREFIX}\d{{8,}}(?:-epoch-(\d{{4,}}))?")
_TEMPORARY = ".temporary-"
_ASIDE = "damaged-"


@dataclass(frozen=True)
class Retention:
    """How often checkpoints are written, and which are kept; the best one always is.

    Attributes:
        every_epochs: Epochs between checkpoints.
        every_steps: Steps between checkpoints; None for none inside epochs.
        keep_last: Number of newest checkpoints that are kept.
        keep_every_epochs: The checkpoint of every n-th epoch is kept; None for no such rule.
    """

    every_epochs: int = 1
    every_steps: int | None = None
    keep_last: int = 2
    keep_every_epochs: int | None = None

    def is_step_due(self, step: int) -> bool:
        """Whether a checkpoint is due after this step."""
        return self.every_steps is not None and step % self.every_steps == 0

    def is_epoch_due(self, progress: Progress) -> bool:
        """Whether a checkpoint is due for the epoch that has just been validated."""
        record = progress.history[-1]
        return (
            record.epoch % self.every_epochs == 0
            or record is best_epoch(progress.history)
            or self.is_step_due(record.step)
        )


def best_epoch(history: Iterable[EpochRecord]) -> EpochRecord:
    """The epoch with the highest top-1 accuracy, the earliest of equals; `history` is not empty."""
    return max(history, key=lambda record: (record.top1, -record.epoch))


def save(run: Path, state: State, groups: Mapping[str, Arrays]) -> Path:
    """Writes a checkpoint, unless it exists.

    Args:
        run: Folder of the run.
        state: Progress, configuration and versions.
        groups: Arrays by name, such as weights and optimizer state; each group becomes one file.

    Returns:
        The folder of the checkpoint.

    Raises:
        OSError: A write failed, for instance because the disk is full; older checkpoints are
            unchanged.
    """
    final = path_of(run, state)
    if final.exists():  # a run always computes the same up to a step
        return final
    final.parent.mkdir(exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=final.parent))
    try:
        temporary.chmod(final.parent.stat().st_mode)  # mkdtemp's folders are private
        fill(temporary, state, groups)
        temporary.rename(final)
        files.flush_to_disk(final.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return final


def path_of(run: Path, state: State) -> Path:
    """The folder that `save` makes."""
    # A name always means the same content, so that nothing has to be replaced.
    epoch = "" if state.record is None else f"-epoch-{state.record.epoch:04d}"
    return run / _FOLDER / f"{_PREFIX}{state.progress.step:08d}{epoch}"


def checkpoint_paths(run: Path) -> list[Path]:
    """The folders of a run's checkpoints, oldest first; other files and folders are ignored."""
    beginning = (run / _FOLDER).glob(f"{_PREFIX}*")
    return sorted(path for path in beginning if _NAME.fullmatch(path.name))


def epoch_ends(run: Path) -> dict[Path, int]:
    """The checkpoints at the end of epochs, oldest first, with the epoch's number, from 1."""
    matches = ((path, _NAME.fullmatch(path.name)) for path in checkpoint_paths(run))
    return {path: int(match[1]) for path, match in matches if match and match[1]}


def newest_checkpoint(run: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest intact checkpoint, or None if there is no checkpoint at all.

    Args:
        run: Folder of the run.
        warn: Called with a message for each newer checkpoint that is damaged.

    Raises:
        WeightsError: All checkpoints are damaged, or the newest cannot be read but may be intact.
    """
    paths = checkpoint_paths(run)
    for path in reversed(paths):
        checkpoint = _undamaged(path, warn)
        if checkpoint is not None:
            return checkpoint
    if paths:
        raise WeightsError(f"{run}: all of its {len(paths)} checkpoints are damaged")
    return None


def _undamaged(path: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    try:
        return read_checkpoint(path)
    except DamagedError as error:
        warn(f"{error}; taking the one before it")
        return None


def best(run: Path) -> tuple[Path, EpochRecord]:
    """The checkpoint with the highest top-1 accuracy, the earliest of equals, and its epoch.

    Each checkpoint contains the history of all epochs so far. So the best one is known even if it
    is damaged itself.

    Raises:
        WeightsError: The run has no validated checkpoint, or has one that cannot be read and whose
            accuracy is in no other one.
    """
    states, errors = _states(run)
    known = {r.epoch: r for state in states.values() for r in state.progress.history}
    of_epoch = {epoch: path for path, epoch in epoch_ends(run).items()}
    if not of_epoch:
        raise WeightsError(f"{run}: has no checkpoint that was validated yet")
    for epoch, path in of_epoch.items():
        if epoch not in known:
            why = errors.get(path, f"{path}: tells nothing of the epoch that it is named by")
            raise WeightsError(f"{why}; it may be the run's best: name the checkpoint to take")
    record = best_epoch(known[epoch] for epoch in of_epoch)
    return of_epoch[record.epoch], record


def _states(run: Path) -> tuple[dict[Path, State], dict[Path, WeightsError]]:
    """The states of a run's checkpoints, oldest first, and the errors of unreadable ones."""
    states: dict[Path, State] = {}
    errors: dict[Path, WeightsError] = {}
    for path in checkpoint_paths(run):
        try:
            states[path] = read_state(path)
        except WeightsError as error:  # noqa: PERF203 - each one separately
            errors[path] = error
    return states, errors


def prune(run: Path, keep_last: int, keep_every_epochs: int | None) -> None:
    """Deletes checkpoints that need not be kept.

    Keeps the newest `keep_last`, the best, those of every `keep_every_epochs`-th epoch, and all
    whose state cannot be read.
    """
    states, unreadable = _states(run)
    paths = {state.record: path for path, state in states.items() if state.record is not None}
    kept = {*checkpoint_paths(run)[-keep_last:], *unreadable}
    if paths:
        kept.add(paths[best_epoch(paths)])
    if keep_every_epochs is not None:
        kept.update(path for r, path in paths.items() if r.epoch % keep_every_epochs == 0)
    for path in states:
        if path not in kept:
            _delete(path)


def clear_after(run: Path, newest: Checkpoint | None, warn: Callable[[str], None]) -> None:
    """Prepares the folder for repeating the steps after `newest`.

    Deletes unfinished checkpoints. Newer checkpoints, which are damaged, are renamed and are no
    longer part of the run; `warn` is called for each.
    """
    for unfinished in (run / _FOLDER).glob(f"{_TEMPORARY}*"):
        shutil.rmtree(unfinished)
    for path in checkpoint_paths(run):
        if newest is None or path > newest.path:
            aside = _free_name(path.with_name(f"{_ASIDE}{path.name}"))
            path.rename(aside)
            warn(f"{path}: set aside as {aside.name}")


def _free_name(path: Path) -> Path:
    """The path if it is free, or else the first free one with a number."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(free for free in itertools.chain([path], numbered) if not free.exists())


def _delete(folder: Path) -> None:
    """Deletes a checkpoint; an interruption leaves no partial folder with its name."""
    doomed = folder.with_name(f"{_TEMPORARY}{folder.name}")
    folder.rename(doomed)
    shutil.rmtree(doomed)
