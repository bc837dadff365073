"""Compares runs in tables: their results, and the settings in which they differ."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterable, Sequence

from mobilenet import settings
from mobilenet.errors import UserError
from mobilenet.runs import run_folder
from mobilenet.runs.checkpoint import best_epoch, newest_checkpoint
from mobilenet.runs.curves import draw_curves
from mobilenet.runs.epoch_record import EpochRecord
from mobilenet.settings.schema import Config
from mobilenet.skipped_items import SKIP_NONE, SkippedItems

_RESULTS = ("epoch", "best epoch", "top-1", "top-5", "images", "training top-1")


@dataclass(frozen=True)
class Run:
    """A run according to its newest checkpoint; it may still be training.

    Attributes:
        name: The name of its folder, or the path if another run has the same name.
        history: The epochs so far, at least one.
        settings: Every setting by its dotted name.
    """

    name: str
    history: tuple[EpochRecord, ...]
    settings: dict[str, Any]

    def results(self) -> list[str]:
        """The values of `_RESULTS`."""
        best = best_epoch(self.history)
        return [
            str(self.history[-1].epoch),
            str(best.epoch),
            f"{100 * best.top1:.2f} %",
            f"{100 * best.top5:.2f} %",
            f"{best.num_images} of {best.split}",
            f"{100 * best.train_top1:.2f} %",
        ]


def compare_runs(
    folders: Sequence[Path],
    curves: Path,
    skipped: SkippedItems = SKIP_NONE,
    warn: Callable[[str], None] = warnings.warn,
) -> str:
    """Compares several runs in two Markdown tables: results, and settings that differ.

    Args:
        folders: The run folders.
        curves: PNG file to draw the curves of the runs into.
        skipped: Collects runs that cannot be read; by default the first one raises.
        warn: Called for each damaged checkpoint; the run is shown as of the one before.

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
    names = [run.name for run in runs]
    draw_curves({run.name: run.history for run in runs}, curves)
    results = zip(_RESULTS, *(run.results() for run in runs))
    differing = (
        [name, *(str(run.settings[name]) for run in runs)]
        for name in runs[0].settings
        if len({str(run.settings[name]) for run in runs}) > 1
    )
    return "\n".join([*_table("result", names, results), "", *_table("setting", names, differing)])


def _names(folders: Sequence[Path]) -> list[str]:
    names = [folder.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else list(map(str, folders))


def _read(folder: Path, name: str, warn: Callable[[str], None]) -> Run:
    newest = newest_checkpoint(folder, warn)
    if newest is None or not newest.state.progress.history:
        raise UserError(f"{folder}: no run that has finished an epoch")
    config = settings.loads(Config, newest.state.config, str(newest.path))
    history = tuple(newest.state.progress.history)
    return Run(name, history, run_folder.flat(config))


def _table(title: str, names: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ([title, *names], ["---"] * (len(names) + 1), *rows)
    return [f"| {' | '.join(line)} |" for line in lines]
