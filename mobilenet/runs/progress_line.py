"""Reports the progress of a run: a line or bar every few steps, and a line for every epoch."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Generator, Iterator, Mapping, NamedTuple, TypeVar

from tqdm import tqdm

from mobilenet.runs.epoch_record import EpochRecord, Metrics
from mobilenet.runs.log import RunLog
from mobilenet.runs.throughput import Meter, Speed

T = TypeVar("T")


class Plan(NamedTuple):
    """The length of a run, and the number of steps between its reports."""

    num_epochs: int
    steps_per_epoch: int
    every_steps: int


class StepReport(NamedTuple):
    """A finished training step."""

    step: int
    """Its number, from 1."""
    metrics: Metrics
    gradient_norm: float
    """Of the mean loss, before clipping."""
    learning_rate: float


def _short_times(epoch_left: float, run_left: float) -> str:
    """Both as minutes:seconds, or as hours:minutes and `h` for a run of hours."""
    unit, sign = (3600, "h") if run_left >= 3600 else (60, "")
    pairs = (divmod(int(seconds * 60 / unit), 60) for seconds in (epoch_left, run_left))
    return "/".join(f"{large}:{small:02}" for large, small in pairs) + sign


class Reporter:
    """Follows the epochs of a run and writes `progress` and `epoch` events to its log."""

    def __init__(self, log: RunLog, plan: Plan) -> None:
        self._log, self._plan = log, plan
        self._validation_seconds = 0.0
        self._num_bad_records = 0
        self._start_meters()

    def _start_meters(self) -> None:
        self._window, self._window_meter, self._epoch_meter = Metrics(), Meter(), Meter()
        self._last_window = Metrics()

    def start_epoch(self, epoch: int, num_done: int) -> None:
        """Starts reporting an epoch, numbered from 1, of which `num_done` steps are finished."""
        label = f"epoch {epoch}/{self._plan.num_epochs}"
        self._log.start_bar(label, self._plan.steps_per_epoch, num_done)
        self._start_meters()

    def timed(self, batches: Iterator[T]) -> Generator[T, None, None]:
        """The same batches; measures the time spent waiting for them."""
        return self._epoch_meter.timed(self._window_meter.timed(batches))

    def step_done(self, report: StepReport) -> None:
        """Reports one step."""
        self._window = self._window.plus(report.metrics)
        for meter in (self._window_meter, self._epoch_meter):
            meter.add(report.metrics.num_images)
        # The window before keeps what the bar shows from jumping when a new one begins.
        recent, speed = self._last_window.plus(self._window), self._epoch_meter.so_far()
        self._log.advance_bar(self._short(report, recent, speed))
        if report.step % self._plan.every_steps == 0:
            self._progress(report)

    def bad_records(self, found: Mapping[int, Exception]) -> None:
        """Warns of bad records that are new; `found` has all since the start of the process."""
        for error in list(found.values())[self._num_bad_records :]:
            self._log.warn(f"replaced by another record: {error}")
        self._num_bad_records = len(found)

    def _progress(self, report: StepReport) -> None:
        speed, window, self._window = self._window_meter.read(), self._window, Metrics()
        self._last_window = window
        epoch_left, run_left = self._seconds_left(report, speed)
        self._log.progress(
            f"step {report.step}: loss {window.loss:.3f}, top-1 {100 * window.top1:.1f} %,"
            f" rate {report.learning_rate:.3g}, {speed.images_per_second:.0f} images/s,"
            f" waits for data {100 * speed.data_wait:.0f} %,"
            f" left {tqdm.format_interval(epoch_left)} of {tqdm.format_interval(run_left)}",
            self._short(report, window, speed),
            step=report.step,
            loss=window.loss,
            top1=window.top1,
            learning_rate=report.learning_rate,
            gradient_norm=report.gradient_norm,
            **speed._asdict(),
            epoch_seconds_left=epoch_left,
            run_seconds_left=run_left,
        )

    def _short(self, report: StepReport, recent: Metrics, speed: Speed) -> str:
        """What stands beside the bar; together they have to fit into 80 columns."""
        return (
            f"{recent.loss:.3f} {100 * recent.top1:.1f}% lr{report.learning_rate:.2g}"
            f" {speed.images_per_second:.0f}/s wait{100 * speed.data_wait:.0f}%"
            f" {_short_times(*self._seconds_left(report, speed))}"
        )

    def _seconds_left(self, report: StepReport, speed: Speed) -> tuple[float, float]:
        """How long the epoch's steps, and all that is left of the run, will take at this speed."""
        step, step_seconds = report.step, report.metrics.num_images / speed.images_per_second
        num_epochs, steps_per_epoch, _ = self._plan
        epoch = (step - 1) // steps_per_epoch + 1
        epoch_left = (epoch * steps_per_epoch - step) * step_seconds
        run_left = (num_epochs * steps_per_epoch - step) * step_seconds
        return epoch_left, run_left + (num_epochs - epoch + 1) * self._validation_seconds

    def stop_steps(self) -> None:
        """Stops measuring, at the end of an epoch's steps or when the process stops."""
        self._log.stop_bar()
        self._speed = self._epoch_meter.read()
        self._validation_start = time.monotonic()

    def epoch_done(self, record: EpochRecord, num_bad_records: int = 0) -> None:
        """Reports an epoch that was trained and validated.

        Args:
            record: The results of the epoch.
            num_bad_records: Training records replaced since this start, over all processes.
        """
        # The speed covers only the steps of this process; an earlier one may have begun the epoch.
        self._validation_seconds = time.monotonic() - self._validation_start
        speed = self._speed
        self._log.write(
            "epoch",
            f"epoch {record.epoch}/{self._plan.num_epochs}: loss {record.train_loss:.3f},"
            f" top-1 {100 * record.train_top1:.1f} %; {record.split}: loss {record.loss:.3f},"
            f" top-1 {100 * record.top1:.2f} %, top-5 {100 * record.top5:.2f} %;"
            f" {speed.images_per_second:.0f} images/s",
            **asdict(record),
            **speed._asdict(),
            validation_seconds=self._validation_seconds,
            num_bad_records=num_bad_records,
        )
