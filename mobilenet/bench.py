"""Benchmarks: images per second of training, inference and reading, and what limits training.

Images and labels are random. With constant ones, gradients become denormal numbers, which slow
processors down several times.
"""

from __future__ import annotations

import contextlib
import resource
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator, Literal, NamedTuple, Union

import numpy as np

from mobilenet import build
from mobilenet.data.batch_reader import Batch
from mobilenet.data.record_file import RecordWriter
from mobilenet.metrics import Predict
from mobilenet.network.initialization import initialize
from mobilenet.onnx.runtime import OnnxModel
from mobilenet.packing.drawn_sample import CLASSES, write_sample
from mobilenet.runs.throughput import Meter
from mobilenet.settings.schema import Config, DataConfig, ModelConfig, TrainingConfig
from mobilenet.training import build as training_build
from mobilenet.training.learner import Learner

_NUM_WARM_UP = 2
_LEARNING_RATE = 0.01
# The drawn images are about as large as ImageNet's.
_SAMPLE_PIXELS = 400
_NUM_DRAWN_PER_CLASS = 10
# Steps for the warm-up, and for batches that the reader has prefetched when measuring ends.
_NUM_SPARE_BATCHES = 8


class Work(NamedTuple):
    """The sizes of the network and its batches, and the number of repeats of a measurement."""

    batch_size: int = 32
    resolution: int = 224
    width_multiplier: float = 1.0
    repeats: int = 10
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of training."""

    def config(self, directory: Path = Path()) -> Config:
        """The configuration of a training of this size on the records in `directory`."""
        return Config(
            model=ModelConfig(width_multiplier=self.width_multiplier),
            data=DataConfig(directory=str(directory), resolution=self.resolution),
            training=TrainingConfig(batch_size=self.batch_size, precision=self.precision),
        )

    def __str__(self) -> str:
        sizes = f"width {self.width_multiplier:g}, {self.resolution} px, batch {self.batch_size}"
        return sizes if self.precision == "float32" else f"{sizes}, {self.precision}"


@dataclass(frozen=True)
class Speed:
    """Images per second in each repeat of a measurement."""

    what: str
    rates: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median of the repeats, in images per second."""
        return statistics.median(self.rates)

    @property
    def spread(self) -> tuple[float, float]:
        """First and third quartile of the rates, in images per second."""
        first, third = np.percentile(self.rates, (25, 75)).tolist()
        return first, third

    def summary(self) -> str:
        """One line."""
        low, high = self.spread
        return (
            f"{self.what}: {self.median:.1f} images/s, quartiles of {len(self.rates)} repeats"
            f" {low:.1f} to {high:.1f}"
        )

    def as_json(self) -> dict[str, Any]:
        """The measurement as plain JSON.

        `median` equals `images_per_second`, `spread` is its first and third quartile, and
        `peak_memory_bytes` is the peak of the whole process so far.
        """
        return {
            "what": self.what,
            "images_per_second": self.median,
            "median": self.median,
            "median_seconds_per_image": 1 / self.median,
            "spread": list(self.spread),
            "repeats": len(self.rates),
            "peak_memory_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        }


@dataclass(frozen=True)
class EndToEnd:
    """The speeds of reading, of training steps, and of both together."""

    data: Speed
    model: Speed
    together: Speed
    data_wait: float
    """Fraction of the time in which training waited for data."""

    @property
    def limit(self) -> str:
        """The slower of the two: `data` or `model`."""
        return "data" if self.data.median < self.model.median else "model"

    @property
    def sentence(self) -> str:
        """The two speeds, and which of them limits."""
        return (
            f"data: {self.data.median:.0f} images/s, model: {self.model.median:.0f} images/s: "
            f"the {self.limit} limits"
        )

    def summary(self) -> str:
        """Two lines: what limits, and the speed of both together."""
        return (
            f"{self.sentence}\n"
            f"together: {self.together.median:.0f} images/s, "
            f"{100 * self.data_wait:.1f} % of the time waiting for data"
        )

    def as_json(self) -> dict[str, Any]:
        """The same as plain JSON."""
        parts = {"data": self.data, "model": self.model}
        return {
            **self.together.as_json(),
            "data_wait": self.data_wait,
            "limit": self.limit,
            "sentence": self.sentence,
            **{name: speed.as_json() for name, speed in parts.items()},
        }


Result = Union[Speed, EndToEnd]


def train(work: Work) -> Speed:
    """Whole training steps of NAG on random images: forward, backward, update, metrics."""
    learner = training_build.learner(work.config())
    batch = random_batch(work)
    return _timed(f"train, {work}", lambda step: take_step(learner, batch, step), work)


def infer(work: Work) -> Speed:
    """Inference as `validate` and `predict` do it, from images in memory to logits in memory."""
    predict = untrained_predictor(work)
    images = random_batch(work).data
    return _timed(f"infer, {work}", lambda _: predict(images), work)


def untrained_predictor(work: Work) -> Predict:
    """A predictor of a network with random weights."""
    config = work.config()
    network = build.network(config)
    initialize(network, build.contexts(config), config.training.seed)
    return build.predictor(network, build.contexts(config))


def onnx(path: Path, work: Work) -> Speed:
    """Inference of an ONNX file by ONNX Runtime; its fixed sizes replace those of `work`."""
    model = OnnxModel(path)
    height, width = model.resolution or (work.resolution, work.resolution)
    size = model.batch_size or work.batch_size
    shape = (size, 3, height, width)
    images = np.random.default_rng(0).integers(0, 256, shape).astype(model.dtype)
    what = f"{path.name} by ONNX Runtime, {width} x {height} px, batch {size}"
    return _timed(what, lambda _: model.predict(images), work._replace(batch_size=size))


def reader(directory: Path | None, work: Work) -> Speed:
    """Reading, decoding and augmenting training records; without `directory`, of drawn images.

    Raises:
        UserError: The records cannot be used.
    """
    with _records(directory, work) as folder:
        passes = build.train_reader(work.config(folder))
        rates = []
        for epoch in range(work.repeats + 1):
            start = time.perf_counter()
            num_images = sum(len(batch.labels) for batch in passes.batches(epoch))
            rates.append(num_images / (time.perf_counter() - start))
    return Speed(f"read, {work.resolution} px, batch {work.batch_size}", tuple(rates[1:]))


def end_to_end(directory: Path | None, work: Work) -> EndToEnd:
    """Training from records, and each of its two parts alone.

    Raises:
        UserError: The records cannot be used.
    """
    with _records(directory, work) as folder:
        config = work.config(folder)
        data, model = reader(folder, work._replace(repeats=3)), train(work)
        learner, meter = training_build.learner(config), Meter()
        batches = meter.timed(_epochs(config))
        rates, waits = [], []
        for step, batch in zip(range(work.repeats + _NUM_WARM_UP), batches):
            take_step(learner, batch, step)
            meter.add(len(batch.labels))
            speed = meter.read()
            rates.append(speed.images_per_second)
            waits.append(speed.data_wait / speed.images_per_second)
        batches.close()
    # Each step's fraction of waiting is weighted by the time of the step.
    seconds = sum(1 / rate for rate in rates[_NUM_WARM_UP:])
    together = Speed(f"train from records, {work}", tuple(rates[_NUM_WARM_UP:]))
    return EndToEnd(data, model, together, sum(waits[_NUM_WARM_UP:]) / seconds)


def _epochs(config: Config) -> Iterator[Batch]:
    passes = build.train_reader(config)
    epoch = 0
    while True:
        yield from passes.batches(epoch)
        epoch += 1


def take_step(learner: Learner, batch: Batch, step: int) -> None:
    """Performs a training step and waits for it."""
    learner.step(batch, step, _LEARNING_RATE).read()


def random_batch(work: Work) -> Batch:
    """Images of normal noise `(N, 3, H, W)` with random labels."""
    random = np.random.default_rng(0)
    shape = (work.batch_size, 3, work.resolution, work.resolution)
    labels = random.integers(0, work.config().model.classes, work.batch_size)
    return Batch(
        random.standard_normal(shape, np.float32),
        labels.astype(np.int32),
        np.arange(work.batch_size),
    )


def _timed(what: str, run: Callable[[int], object], work: Work) -> Speed:
    rates = []
    for number in range(work.repeats + _NUM_WARM_UP):
        start = time.perf_counter()
        run(number)
        rates.append(work.batch_size / (time.perf_counter() - start))
    return Speed(what, tuple(rates[_NUM_WARM_UP:]))


@contextlib.contextmanager
def _records(directory: Path | None, work: Work) -> Iterator[Path]:
    """The given folder of records, or a temporary one with drawn images."""
    if directory is not None:
        yield directory
        return
    with tempfile.TemporaryDirectory() as scratch:
        _write_records(Path(scratch), work.batch_size * (work.repeats + _NUM_SPARE_BATCHES))
        yield Path(scratch)


def _write_records(folder: Path, num_records: int) -> None:
    """Writes train.rec with drawn images, which repeat."""
    write_sample(folder / "drawn", _NUM_DRAWN_PER_CLASS, 1, _SAMPLE_PIXELS, seed=0)
    images = [
        (label, path.read_bytes())
        for label, name in enumerate(CLASSES)
        for path in sorted((folder / "drawn" / "train" / name).iterdir())
    ]
    with RecordWriter(folder / "train.rec", folder / "train.idx") as writer:
        for key in range(num_records):
            writer.write(key, *images[key % len(images)])
