"""Trains a network: epochs of steps, a validation and a checkpoint after each, all in a run folder."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Optional

from mobilenet import build, checkpoint, files, initializer, settings, weights
from mobilenet.config import Config
from mobilenet.ema import MovingAverage
from mobilenet.evaluation import evaluate
from mobilenet.model import parameter_arrays
from mobilenet.runlog import RunLog
from mobilenet.training_step import Metrics


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended."""

    run: Path
    best: Path
    top1: float
    top5: float

    def summary(self) -> str:
        """The result for people."""
        return (
            f"trained: {self.run}; best checkpoint {self.best.name}:"
            f" top-1 {self.top1:.2%}, top-5 {self.top5:.2%}"
        )


@dataclass
class Progress:
    """How far a run is; with the arrays of a checkpoint, all that training goes on from."""

    step: int = 0
    epoch_metrics: Metrics = field(default_factory=Metrics)
    validation: Optional[dict[str, Any]] = None
    history: list[dict[str, Any]] = field(default_factory=list)


def train(config: Config, run: Path, resume: bool) -> TrainingResult:
    """Trains the network of `config`; everything that is made goes into the folder `run`."""
    run.mkdir(parents=True, exist_ok=True)
    files.write_text(run / "config.yaml", settings.dump(config))
    trainer = _Trainer(config, run, RunLog(run / "log.jsonl"))
    if resume:
        trainer.restore()
    trainer.run()
    best = checkpoint.read_checkpoint(checkpoint.best_checkpoint(run))
    validation = best.progress["validation"]
    return TrainingResult(run, best.path, validation["top1"], validation["top5"])


class _Trainer:
    def __init__(self, config: Config, run: Path, log: RunLog) -> None:
        self.config, self.folder, self.log = config, run, log
        self.contexts = build.contexts(config)
        self.reader = build.train_reader(config)
        self.network = build.network(config)
        initializer.initialize(self.network, self.contexts, config.training.seed)
        self.optimizer = build.optimizer(config, self.network)
        self.step = build.training_step(config, self.network, self.optimizer)
        self.schedule = build.schedule(config, self.reader.steps_per_epoch)
        decay = config.training.ema_decay
        arrays = parameter_arrays(self.network)
        self.average = MovingAverage(arrays, decay) if decay is not None else None
        self.progress = Progress()

    def restore(self) -> None:
        saved = checkpoint.newest_checkpoint(
            self.folder, lambda text: self.log.write("warning", text)
        )
        if saved is None:
            return
        weights.fit(self.network, saved.arrays("parameters"), saved.path)
        self.optimizer.restore(saved.arrays("optimizer"))
        if self.average is not None:
            self.average.restore(saved.arrays("average"))
        values = saved.progress
        self.progress = Progress(**{**values, "epoch_metrics": Metrics(*values["epoch_metrics"])})

    def run(self) -> None:
        for epoch in range(
            self.progress.step // self.reader.steps_per_epoch, self.config.training.epochs
        ):
            self.train_epoch(epoch)
            self.validate(epoch)
            self.save()

    def train_epoch(self, epoch: int) -> None:
        first_step = self.progress.step % self.reader.steps_per_epoch
        start = time.monotonic()
        self.log.start_bar(self.reader.steps_per_epoch, first_step, f"epoch {epoch + 1}")
        for batch in self.reader.batches(epoch, first_step):
            step = self.progress.step
            pending = self.step(batch.data, batch.labels, step, self.schedule(step))
            if self.average is not None:
                self.average.update(step)
            self.progress.step += 1
            metrics = pending.read()
            self.progress.epoch_metrics = self.progress.epoch_metrics.plus(metrics)
            self.log.advance(f"loss {metrics.loss:.3f}")
        self.log.stop_bar()
        seconds = time.monotonic() - start
        metrics = self.progress.epoch_metrics
        self.log.write(
            "epoch",
            f"epoch {epoch + 1}: loss {metrics.loss:.3f}, top-1 {metrics.top1:.1%},"
            f" {metrics.num_images / seconds:.0f} images/s",
            epoch=epoch + 1,
            loss=metrics.loss,
            top1=metrics.top1,
        )
        self.progress.epoch_metrics = Metrics()

    def validate(self, epoch: int) -> None:
        reader = build.eval_reader(self.config, "val")
        counts = evaluate(build.predictor(self.network, self.contexts[0]), reader.batches())
        self.progress.validation = {
            "epoch": epoch + 1,
            "num_images": counts.num_images,
            "loss": counts.loss,
            "top1": counts.top1,
            "top5": counts.top5,
        }
        self.progress.history.append(self.progress.validation)
        self.log.write(
            "validation",
            f"epoch {epoch + 1}: validation top-1 {counts.top1:.2%}, top-5 {counts.top5:.2%}"
            f" on {counts.num_images} images",
            **self.progress.validation,
        )

    def save(self) -> None:
        groups = {"parameters": parameter_arrays(self.network), "optimizer": self.optimizer.state()}
        if self.average is not None:
            groups["average"] = self.average.averages
        group = "parameters" if self.average is None else "average"
        checkpoint.save(self.folder, self.progress.step, groups, group, asdict(self.progress))
