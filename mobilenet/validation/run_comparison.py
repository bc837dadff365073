"""Compares runs: accuracy with its interval, cost, latency on this machine, and significance."""

from __future__ import annotations

import contextlib
import statistics
import time
from dataclasses import dataclass
from typing import Iterator, Sequence

import numpy as np

from mobilenet import build
from mobilenet.compat.environment import num_processors
from mobilenet.errors import UserError
from mobilenet.inference.loaded_model import LoadedModel
from mobilenet.inference.open_model import open_model
from mobilenet.network.complexity import Complexity, complexity
from mobilenet.network.graph_forms import symbol_of
from mobilenet.runs.run_table import Run, settings_table, table
from mobilenet.validation.accuracy_statistics import wilson_interval
from mobilenet.validation.kept_answers import REPORT, KeptAnswers, kept_answers
from mobilenet.validation.mcnemar_test import McNemar, mcnemar

_NUM_WARM_UP, _NUM_REPEATS = 3, 21
_NONE = "-"


@dataclass(frozen=True)
class Comparison:
    """What is known of runs beside each other; every tuple has an item for each run.

    Attributes:
        runs: The runs, at least one.
        costs: Of their networks, at their resolutions.
        latencies: Median seconds for one image by MXNet on this machine; None for damaged weights.
        tests: Of the difference to the first run; None for that run, and where answers are missing.
        missing: Why there is no test, by the names of runs.
    """

    runs: tuple[Run, ...]
    costs: tuple[Complexity, ...]
    latencies: tuple[float | None, ...]
    tests: tuple[McNemar | None, ...]
    missing: dict[str, str]

    def summary(self) -> str:
        """Tables as Markdown: what the runs have reached, and the settings in which they differ."""
        results = zip(*(list(self._results(place)) for place in range(len(self.runs))))
        rows = [[cells[0][0], *(text for _, text in cells)] for cells in results]
        lines = [*table("result", self.runs, rows), "", *settings_table(self.runs)]
        return "\n".join([*lines, "", *self._notes()])

    def _results(self, place: int) -> Iterator[tuple[str, str]]:
        run, cost = self.runs[place], self.costs[place]
        best, latency, test = run.best, self.latencies[place], self.tests[place]
        low, high = wilson_interval(round(best.top1 * best.num_images), best.num_images)
        yield "epoch", str(run.history[-1].epoch)
        yield "best epoch", str(best.epoch)
        yield "top-1", f"{100 * best.top1:.2f} %"
        yield "95 % interval", f"{100 * low:.2f} to {100 * high:.2f} %"
        yield "top-5", f"{100 * best.top5:.2f} %"
        yield "images", f"{best.num_images} of {best.split}"
        yield "training top-1", f"{100 * best.train_top1:.2f} %"
        yield "parameters", f"{cost.num_parameters:,}"
        yield "multiply-adds", f"{cost.multiply_adds:,}"
        yield "ms per image, here", _NONE if latency is None else f"{1000 * latency:.2f}"
        if len(self.runs) > 1:
            name = f"McNemar's p beside {self.runs[0].name}"
            yield name, _NONE if test is None else f"{test.p_value:.3g}, {test.verdict}"

    def _notes(self) -> Iterator[str]:
        yield (
            f"ms per image: one image at a time by MXNet on this machine, {num_processors()}"
            f" processors, the median of {_NUM_REPEATS}"
        )
        if len(self.runs) > 1 and self.missing:
            reasons = ", ".join(f"{name} {reason}" for name, reason in self.missing.items())
            yield (
                "McNemar's test compares answers to the same images, which `mobilenet validate RUN"
                f" --report RUN/{REPORT}` keeps: {reasons}"
            )


def compare_runs(runs: Sequence[Run]) -> Comparison:
    """What is known of runs beside each other; measures how fast their best checkpoints are."""
    missing: dict[str, str] = {}
    answers = [_answers(run, missing) for run in runs]
    others = zip(runs[1:], answers[1:])
    tests = [None, *(_test(answers[0], other, run, missing) for run, other in others)]
    costs = tuple(_cost(run) for run in runs)
    return Comparison(tuple(runs), costs, tuple(_latencies(runs)), tuple(tests), missing)


def _answers(run: Run, missing: dict[str, str]) -> KeptAnswers | None:
    try:
        return kept_answers(run.folder)
    except UserError as error:
        missing[run.name] = str(error)
        return None


def _test(
    first: KeptAnswers | None, other: KeptAnswers | None, run: Run, missing: dict[str, str]
) -> McNemar | None:
    if first is None or other is None:
        return None
    if first.labels != other.labels:
        missing[run.name] = "has a report on other images"
        return None
    pairs = [(right, other.right[key]) for key, right in first.right.items()]
    return mcnemar(pairs.count((True, False)), pairs.count((False, True)))


def _cost(run: Run) -> Complexity:
    return complexity(symbol_of(build.network(run.config)), run.config.data.resolution)


def _latencies(runs: Sequence[Run]) -> list[float | None]:
    """Measured in turns, so that what else the machine does is shared fairly."""
    models = [_opened(run) for run in runs]
    seconds: list[list[float]] = [[] for _ in models]
    for _ in range(_NUM_WARM_UP + _NUM_REPEATS):
        for model, times in zip(models, seconds):
            if model is not None:
                times.append(_timed(model))
    return [statistics.median(times[_NUM_WARM_UP:]) if times else None for times in seconds]


def _opened(run: Run) -> LoadedModel | None:
    """On the CPU: how fast a GPU is cannot be seen by one image at a time."""
    with contextlib.suppress(UserError):
        return open_model(run.folder, None, ["training.devices=[cpu]"])
    return None


def _timed(model: LoadedModel) -> float:
    image = np.zeros((1, 3, *model.transform.size), np.float32)
    start = time.perf_counter()
    model.predict(image)
    return time.perf_counter() - start
