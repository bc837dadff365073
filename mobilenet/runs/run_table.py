"""Reads what runs have reached, and tabulates in which settings they differ."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable, Sequence

from mobilenet import settings
from mobilenet.errors import UserError
from mobilenet.runs import run_folder
from mobilenet.runs.checkpoint import best_epoch, newest_checkpoint
from mobilenet.runs.epoch_record import EpochRecord
from mobilenet.settings.schema import Config
from mobilenet.skipped_items import SKIP_NONE, SkippedItems


@dataclass(frozen=True)
class Run:
    """A run according to its newest checkpoint; it may still be training.

    Attributes:
        name: Of its folder, or the path to it where another one has the same name. Of a symbolic
            link it is the link's own.
        folder: Its folder.
        history: The epochs so far, at least one.
        config: Its configuration.
    """

    name: str
    folder: Path
    history: tuple[EpochRecord, ...]
    config: Config

    @property
    def best(self) -> EpochRecord:
        """The epoch with the highest top-1 accuracy."""
        return best_epoch(self.history)


def read_runs(
    folders: Sequence[Path],
    skipped: SkippedItems = SKIP_NONE,
    warn: Callable[[str], None] = warnings.warn,
) -> list[Run]:
    """The runs in several folders, at least one.

    Args:
        folders: Of the runs.
        skipped: Collects runs that cannot be read; by default the first one raises.
        warn: Is told of checkpoints that are damaged, so that a run is shown as it was before.

    Raises:
        UserError: A folder has no run that has finished an epoch, or all runs were skipped.
        WeightsError: All checkpoints of a run are damaged, or one cannot be read.
    """
    runs = []
    for folder, name in zip(folders, _names(folders)):
        with skipped.skipping(folder):
            runs.append(_read(folder, name, warn))
    if not runs:
        raise UserError(f"none of these {len(folders)} runs can be compared")
    return runs


def settings_table(runs: Sequence[Run]) -> list[str]:
    """The lines of a Markdown table of the settings in which runs differ."""
    flat = [run_folder.flat(run.config) for run in runs]
    differing = (
        [name, *(str(settings[name]) for settings in flat)]
        for name in flat[0]
        if len({str(settings[name]) for settings in flat}) > 1
    )
    return table("setting", runs, differing)


def table(title: str, runs: Sequence[Run], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table with a column for each run; rows begin with their name."""
    head = [title, *(run.name for run in runs)]
    lines = (head, ["---"] * len(head), *rows)
    return [f"| {' | '.join(line)} |" for line in lines]


def _names(folders: Sequence[Path]) -> list[str]:
    # resolve() would follow links to names that the user has not given.
    names = [Path(os.path.abspath(folder)).name for folder in folders]  # noqa: PTH100
    return names if len(set(names)) == len(names) else list(map(str, folders))


def _read(folder: Path, name: str, warn: Callable[[str], None]) -> Run:
    newest = newest_checkpoint(folder, warn)
    if newest is None or not newest.state.progress.history:
        raise UserError(f"{folder}: no run that has finished an epoch")
    config = settings.loads(Config, newest.state.config, str(newest.path))
    history = tuple(newest.state.progress.history)
    return Run(name, folder, history, config)
