"""Trains a network from a configuration; all that is made goes into one run folder."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from mobilenet import checkpoint, run_folder
from mobilenet.config import Config
from mobilenet.run_state import EpochRecord
from mobilenet.runlog import RunLog
from mobilenet.signals import stop_requests
from mobilenet.trainer import Parts, Trainer


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended: its best checkpoint, and the epoch that made it."""

    best: Path
    record: EpochRecord

    def summary(self) -> str:
        """The result in one line."""
        record = self.record
        return (
            f"{self.best}: top-1 {100 * record.top1:.2f} %, top-5 {100 * record.top5:.2f} %"
            f" on the {record.num_images} images of {record.split}.rec"
        )


def train(config: Config, run: Path, resume: bool) -> TrainingResult:
    """Trains the network of `config` to the end; the folder `run` holds everything that is made.

    Args:
        config: What to train.
        run: A new folder or, with `resume`, that of a run that was stopped or killed.
        resume: Go on from the newest checkpoint.

    Raises:
        UserError: The folder, the data or a setting cannot be used.
        VerificationError: The loss is no longer finite, or the disk is full.
        RunStopped: SIGTERM or Ctrl-C; the run is saved.
    """
    run_folder.check(run, resume)
    parts = Parts(config)  # finds mistakes in the settings before the folder is made
    if not resume:
        parts.load_initial_weights()
    with contextlib.ExitStack() as stack:
        stack.enter_context(run_folder.claimed(run))
        stack.enter_context(run_folder.full_disk_explained(run))
        board = run / run_folder.TENSORBOARD if config.log.tensorboard else None
        log = stack.enter_context(contextlib.closing(RunLog(run / run_folder.LOG, board)))
        stop = stack.enter_context(stop_requests())
        trainer = Trainer(config, run, parts, log)
        if resume:
            trainer.resume()
        trainer.go_on(stop)
    return TrainingResult(*checkpoint.best(run))
