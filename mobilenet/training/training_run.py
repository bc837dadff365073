"""Trains a network from a configuration, and writes everything into one run folder."""

from __future__ import annotations

import contextlib
import itertools
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Callable

from mobilenet import build, files, settings
from mobilenet.distributed.group import Group
from mobilenet.distributed.rank_consistency import check_consistency
from mobilenet.errors import Mistakes
from mobilenet.runs import checkpoint, run_folder
from mobilenet.runs.epoch_record import EpochRecord, Progress
from mobilenet.runs.log import OtherRankLog, RunLog, tensorboard_writer
from mobilenet.runs.markdown_report import run_report
from mobilenet.settings.schema import Config
from mobilenet.training import build as training_build
from mobilenet.training.epoch_loop import Trainer
from mobilenet.training.learning_rate_range_test import RangeTest, range_test
from mobilenet.training.run_parts import Parts
from mobilenet.training.stop_requests import stop_requests
from mobilenet.training.teacher import Lesson

# Settings that may differ between the processes of a run.
_OF_EACH_HOST = ("data.directory", "data.num_workers", "distillation.teacher")


@dataclass(frozen=True)
class TrainingResult:
    """The result of a run: its best checkpoint, and the epoch of that."""

    best: Path
    record: EpochRecord

    def summary(self) -> str:
        """The result in one line."""
        record = self.record
        return (
            f"{self.best}: top-1 {100 * record.top1:.2f} %, top-5 {100 * record.top5:.2f} %"
            f" on the {record.num_images} images of {record.split}.rec"
        )


def train(config: Config, run: Path, resume: bool) -> TrainingResult | None:
    """Trains the network of `config` to the end, and writes everything into the folder `run`.

    In a distributed run only rank 0 writes to that folder and returns a result; others return None.

    Args:
        config: The configuration.
        run: A new folder or, with `resume`, that of a run that was stopped or killed.
        resume: Continue from the newest checkpoint.

    Raises:
        UserError: The folder, the data or a setting cannot be used.
        VerificationError: The loss is no longer finite, the disk is full, or a process is lost.
        RunStopped: By SIGTERM or Ctrl-C; the run has been saved.
    """
    config = build.resolved(config)
    with build.group(config) as group:
        if group.rank > 0:
            _follow(config, run, group)
            return None
        _lead(config, run, resume, group)
        return TrainingResult(*checkpoint.best(run))


def find_rate(config: Config, num_steps: int) -> RangeTest:
    """Finds a learning rate for what `train` would train, by steps that are then forgotten.

    Raises:
        UserError: The data or a setting cannot be used.
        VerificationError: The loss does not fall.
    """
    build.check_records(config)
    parts = training_build.parts(build.resolved(config))
    learner = parts.make_learner()
    parts.load_initial_weights(learner)

    def take_step(lesson: Lesson, step: int, rate: float) -> float:
        return learner.step(lesson.batch, step, rate, lesson.answers).read().metrics.loss

    lessons = itertools.chain.from_iterable(map(parts.lessons, itertools.count()))
    return range_test(lessons, num_steps, take_step)


def _lead(config: Config, run: Path, resume: bool, group: Group) -> None:
    """Trains, and keeps the run's folder."""
    _check_call(config, run, resume, group)  # before the folder is made
    parts = _parts(config, group)
    learner = parts.make_learner()
    if not resume:
        parts.load_initial_weights(learner)
    with contextlib.ExitStack() as stack:
        stack.enter_context(run_folder.claimed(run))
        run_folder.check(run, resume)  # another process may have been faster
        stack.enter_context(run_folder.full_disk_explained(run))
        if not resume:  # first, so that a killed run can be resumed or has left nothing
            run_folder.describe(run, config)
        board = run / run_folder.TENSORBOARD if config.log.tensorboard else None
        log = stack.enter_context(contextlib.closing(RunLog(run / run_folder.LOG, board)))
        stop = stack.enter_context(stop_requests())
        trainer = Trainer(run, training_build.course(config), parts, learner, log)
        if resume:
            _resume(config, run, trainer, parts, log)
        progress = trainer.go_on(stop)
        circumstances = _circumstances(config, parts, progress)
        name = run.resolve().name
        report = run_report(name, progress.history, settings.dump(config), circumstances)
        files.write_text(run / run_folder.REPORT, report)


def _check_call(config: Config, run: Path, resume: bool, group: Group) -> None:
    """Refuses what can be seen to be wrong before anything large is read, all of it at once.

    Raises:
        UserError: The devices, the records, the log or the folder cannot be used.
    """
    mistakes = Mistakes()
    checks: list[Callable[[], object]] = [
        partial(training_build.devices, config, group),
        partial(build.check_records, config),
        *([tensorboard_writer] if config.log.tensorboard else []),
        partial(run_folder.check, run, resume),
    ]
    for check in checks:
        with mistakes.noted():
            check()
    mistakes.check()


def _resume(config: Config, run: Path, trainer: Trainer, parts: Parts, log: RunLog) -> None:
    """Restores the newest intact checkpoint, or the start if there is none yet.

    Raises:
        UserError: A setting or the data differ from those of the run, or no checkpoint is intact.
    """
    saved = checkpoint.newest_checkpoint(run, log.warn)
    if saved is None:
        began = settings.load(Config, run / run_folder.CONFIG)
    else:
        began = settings.loads(Config, saved.state.config, str(saved.path))
    changes = run_folder.check_changes(began, config, run)
    if saved is not None:
        folder = Path(config.data.directory)
        run_folder.check_data(saved.state.data, parts.data_digests, folder)
        run_folder.check_classes(run, folder)
        run_folder.check_teacher(saved.state.teacher, parts.teacher_digest)
        changes += run_folder.differences(saved.state.arithmetic, parts.arithmetic)
    for change in changes:
        log.warn(f"no longer bit for bit equal to an unchanged run: {change}")
    trainer.go_back_to(saved)
    run_folder.describe(run, config)  # the configuration from here on


def _circumstances(config: Config, parts: Parts, progress: Progress) -> dict[str, str]:
    """The circumstances besides the configuration that a result depends on."""
    records, steps_per_epoch = parts.reader.records, parts.reader.steps_per_epoch
    return {
        "training records": f"{len(records):,} in {records.path}",
        "steps": f"{progress.step:,}, {steps_per_epoch:,} to an epoch",
        "returns to a checkpoint, at half the rate": str(progress.num_rollbacks),
        **({"teacher": str(config.distillation.teacher)} if parts.teacher else {}),
        **{f"teacher's {name}": text for name, text in parts.teacher_digest.items()},
        "devices": ", ".join(config.training.devices),
        "machine": run_folder.machine(),
        "versions": ", ".join(f"{name} {text}" for name, text in run_folder.versions().items()),
    }


def _follow(config: Config, run: Path, group: Group) -> None:
    """Trains as another rank than 0."""
    parts = _parts(config, group)
    with contextlib.ExitStack() as stack:
        nowhere = stack.enter_context(Path(os.devnull).open("w"))
        log = stack.enter_context(contextlib.closing(OtherRankLog(group.rank, nowhere)))
        stop = stack.enter_context(stop_requests())
        course = training_build.course(config)
        Trainer(run, course, parts, parts.make_learner(), log).go_on(stop)


def _parts(config: Config, group: Group) -> Parts:
    parts = training_build.parts(config, group)
    own = run_folder.flat(config)
    for name in _OF_EACH_HOST:
        del own[name]
    versions = {f"{name} version": text for name, text in run_folder.versions().items()}
    records: dict[str, object] = {}
    for split, digests in parts.data_digests.items():
        of_file = dict(digests)
        records[f"manifest.json of {split}.rec"] = of_file.pop("content", None)
        records[f"{split}.rec"] = of_file
    check_consistency(group, {**own, **versions, **records, "teacher": parts.teacher_digest})
    return parts
