"""The loop over epochs: steps, validation, checkpoints, and roll-back after divergence.

Everything random is a function of the seed and the step, and everything else that a step depends on
is in the checkpoint. So, on one CPU device, a run that is killed at any moment and resumed ends
with bit for bit the same parameters as an uninterrupted one.

All ranks make the same decisions, because they have the same sums; only rank 0 writes to the run's
folder.
"""

from __future__ import annotations

import json
import signal
from dataclasses import asdict
from pathlib import Path

from mobilenet.errors import DataError, RunStopped, VerificationError
from mobilenet.evaluation import evaluate
from mobilenet.metrics import Counts, NotFiniteError
from mobilenet.runs import checkpoint, run_folder
from mobilenet.runs.checkpoint import is_stale
from mobilenet.runs.checkpoint_folder import Arrays, Checkpoint
from mobilenet.runs.curves import draw_curves
from mobilenet.runs.epoch_record import EpochRecord, Metrics, Progress
from mobilenet.runs.log import RunLog
from mobilenet.runs.progress_line import Plan, Reporter, StepReport
from mobilenet.training.divergence import REMEDY, divergence
from mobilenet.training.learner import Learner, is_finite
from mobilenet.training.run_parts import Course, Parts
from mobilenet.training.step import PendingOutcome
from mobilenet.training.stop_requests import (
    StopRequest,
    StopRequestedError,
    UnreadableError,
    until_stopped,
)
from mobilenet.training.teacher import Lesson

_DEPLOYED = "deployed"
_WHAT_TO_TRY = f"{REMEDY}; schedule.warmup_epochs, optimizer.clip_norm and training.rollbacks help"


class _NotFiniteError(VerificationError):
    """A loss, gradient or parameter is infinite or not a number."""


class Trainer:
    """A run in progress: its parts, its progress, and the step that the devices are computing.

    Args:
        run: Folder of the run.
        course: Its length, reports and checkpoints.
        parts: Its parts.
        learner: The network in training, new.
        log: Gets all events.
    """

    def __init__(
        self, run: Path, course: Course, parts: Parts, learner: Learner, log: RunLog
    ) -> None:
        self._run, self._course, self._parts, self._log = run, course, parts, log
        self._learner = learner
        self._group, self._keeps_files = parts.group, parts.group.rank == 0
        self._steps_per_epoch = parts.reader.steps_per_epoch
        plan = Plan(course.num_epochs, self._steps_per_epoch, course.log_every_steps)
        self._reporter = Reporter(log, plan)
        self._progress = Progress()
        self._in_flight: PendingOutcome | None = None
        self._deployed: Arrays | None = None  # recalibrated after the last step

    def go_back_to(self, saved: Checkpoint | None) -> None:
        """Restores a checkpoint, or the start of the run if it is None; only on rank 0.

        Raises:
            WeightsError: The checkpoint, or the initial weights, cannot be read.
        """
        checkpoint.clear_after(self._run, saved, self._log.warn)
        if saved is None:
            self._progress = Progress()
            self._parts.load_initial_weights(self._learner)
        else:
            self._progress = saved.state.progress
            self._learner.restore(saved)

    def go_on(self, stop: StopRequest) -> Progress:
        """Trains from the progress of rank 0 to the end of the run; returns the final progress."""
        self._share_progress()
        self._begin()
        while not self._is_over():
            self._complete_epoch(stop)
        self._log.record("end", step=self._progress.step)
        return self._progress

    def _is_over(self) -> bool:
        history, patience = self._progress.history, self._course.patience
        return len(history) == self._course.num_epochs or is_stale(history, patience)

    def _share_progress(self) -> None:
        progress = self._group.broadcast_text(json.dumps(asdict(self._progress)))
        self._progress = Progress.from_json(json.loads(progress))
        self._learner.share()

    def _complete_epoch(self, stop: StopRequest) -> None:
        try:
            self._train_epoch(stop)
            self._finish_epoch(stop)
        except _NotFiniteError as error:
            self._roll_back(error)
        except StopRequestedError:
            raise self._stopped(stop) from None
        except UnreadableError as error:
            raise DataError(f"{error}; saved {self._save()}; continue with --resume") from error

    def _begin(self) -> None:
        parts, form = self._parts, self._parts.form
        start = self._learner.start
        at_random = "; the classifier starts at random" if start.random else ""
        self._log.write(
            "start",
            f"{self._run}: from step {self._progress.step} of"
            f" {self._course.num_epochs * self._steps_per_epoch},"
            f" {self._steps_per_epoch} to an epoch; validation on {parts.split}.rec;"
            f" {form.name} graph: {form.reason}{at_random}",
            step=self._progress.step,
            steps_per_epoch=self._steps_per_epoch,
            num_train_records=len(parts.reader.records),
            split=parts.split,
            num_ranks=self._group.size,
            random_start=start.random,
            num_unfolded=start.num_unfolded,
            graph=form._asdict(),
            versions=run_folder.versions(),
        )
        for text in start.warnings:
            self._log.warn(text)

    def _train_epoch(self, stop: StopRequest) -> None:
        """Trains the remaining steps of the epoch."""
        epoch = len(self._progress.history)
        num_done = self._progress.step - epoch * self._steps_per_epoch
        self._reporter.start_epoch(epoch + 1, num_done)
        lessons = self._reporter.timed(self._parts.lessons(epoch, num_done))
        try:
            for lesson in until_stopped(lessons, stop, self._group):
                self._train_step(lesson)
            self._settle()
        finally:
            self._reporter.stop_steps()

    def _train_step(self, lesson: Lesson) -> None:
        step, self._deployed = self._progress.step, None
        rate = self._learning_rate(step)
        queued = self._learner.step(lesson.batch, step, rate, lesson.answers)
        self._settle()  # reads the previous step while the devices compute this one
        self._in_flight = queued
        self._progress.step += 1
        ends_epoch = self._progress.step % self._steps_per_epoch == 0
        if self._course.retention.is_step_due(self._progress.step) and not ends_epoch:
            self._save()

    def _learning_rate(self, step: int) -> float:
        return self._parts.schedule(step) * 0.5**self._progress.num_rollbacks

    def _settle(self) -> None:
        """Waits for the step that the devices are computing, and adds up its outcome.

        Raises:
            _NotFiniteError: Its loss or gradient is not finite.
        """
        if self._in_flight is None:
            return
        outcome, self._in_flight = self._in_flight.read(), None
        step = self._progress.step - 1
        if not outcome.is_finite:
            raise self._not_finite("the loss or its gradient is")
        self._progress.epoch_metrics = self._progress.epoch_metrics.plus(outcome.metrics)
        self._reporter.step_done(
            StepReport(step + 1, *outcome, learning_rate=self._learning_rate(step))
        )
        self._reporter.bad_records(self._parts.reader.bad_records)

    def _finish_epoch(self, stop: StopRequest) -> None:
        """Validates the epoch and records the result."""
        self._deployed = self._recalibrated()
        arrays = self._deployed or self._learner.groups()[self._learner.trained]
        if not is_finite(arrays):  # the epoch's last update has not been in any loss yet
            raise self._not_finite("a parameter is")
        predict = self._parts.predictor(arrays)
        batches = until_stopped(self._parts.eval_reader.batches(), stop, self._group)
        try:
            counts = evaluate(predict, batches, self._group)
        except NotFiniteError as error:
            raise self._not_finite("the network's output is") from error
        wanted = len(self._parts.eval_reader.records)  # each is counted once
        if counts.num_images != wanted:
            raise VerificationError(f"validation took {counts.num_images} images, not {wanted}")
        record = self._record(counts)
        self._progress.history.append(record)
        self._progress.epoch_metrics = Metrics()
        num_bad_records = self._group.total([len(self._parts.reader.bad_records)])[0]
        self._reporter.epoch_done(record, int(num_bad_records))
        self._look_back()
        if self._is_over() or self._course.retention.is_epoch_due(self._progress):
            self._save()
        if self._keeps_files:
            draw_curves({"": self._progress.history}, self._run / run_folder.CURVES)

    def _look_back(self) -> None:
        history = self._progress.history
        diverging = divergence(history, self._course.num_classes)
        if diverging:
            self._log.warn(diverging)
        if is_stale(history, self._course.patience):
            self._reporter.early_stop(history[-1], checkpoint.best_epoch(history))

    def _recalibrated(self) -> Arrays | None:
        if self._parts.recalibration is None:
            return None
        arrays = self._learner.groups()[self._learner.trained]
        batches = self._parts.reader.batches(len(self._progress.history))
        return self._parts.recalibration(arrays, batches)

    def _record(self, counts: Counts) -> EpochRecord:
        progress = self._progress
        return EpochRecord(
            epoch=len(progress.history) + 1,
            step=progress.step,
            learning_rate=self._learning_rate(progress.step - 1),
            train_loss=progress.epoch_metrics.loss,
            train_top1=progress.epoch_metrics.top1,
            split=self._parts.split,
            num_images=counts.num_images,
            loss=counts.loss,
            top1=counts.top1,
            top5=counts.top5,
        )

    def _save(self) -> Path:
        """Writes a checkpoint of everything up to the last step."""
        self._settle()
        groups, weights = self._learner.groups(), self._learner.trained
        if self._deployed is not None:
            groups[_DEPLOYED], weights = self._deployed, _DEPLOYED
        if not all(map(is_finite, groups.values())):
            raise self._not_finite("a parameter is")
        state = self._parts.state(self._progress, self._course.config, weights)
        path = checkpoint.path_of(self._run, state)
        if self._keeps_files:
            checkpoint.save(self._run, state, groups)
            keep = self._course.retention
            checkpoint.prune(self._run, keep.keep_last, keep.keep_every_epochs)
        self._group.barrier()
        self._log.record("checkpoint", step=self._progress.step, path=path.name)
        return path

    def _not_finite(self, what: str) -> _NotFiniteError:
        step = self._progress.step - 1
        paths = checkpoint.checkpoint_paths(self._run)
        last = f"the last good checkpoint is {paths[-1]}" if paths else "there is no checkpoint yet"
        epoch = step // self._steps_per_epoch + 1
        return _NotFiniteError(
            f"{what} no longer finite at step {step + 1} (epoch {epoch}, learning rate"
            f" {self._learning_rate(step):.3g}); {last}; {_WHAT_TO_TRY}"
        )

    def _roll_back(self, error: _NotFiniteError) -> None:
        """Goes back to the last checkpoint, at half the learning rate.

        Raises:
            _NotFiniteError: That was done training.rollbacks times.
        """
        num_rollbacks = self._progress.num_rollbacks + 1
        if num_rollbacks > self._course.max_rollbacks:
            raise error
        self._in_flight = self._deployed = None
        self._learner = self._parts.make_learner()
        if self._keeps_files:
            self.go_back_to(checkpoint.newest_checkpoint(self._run, self._log.warn))
        self._share_progress()
        self._progress.num_rollbacks = num_rollbacks
        self._log.write(
            "rollback",
            f"{error}; back to step {self._progress.step} at half the rate",
            step=self._progress.step,
            num_rollbacks=num_rollbacks,
        )

    def _stopped(self, stop: StopRequest) -> RunStopped:
        assert stop.number is not None, "only called after a request"
        path = self._save()
        name = signal.Signals(stop.number).name
        self._log.record("stop", step=self._progress.step, signal=name)
        return RunStopped(stop.number, f"stopped by {name}, saved {path}; continue with --resume")
