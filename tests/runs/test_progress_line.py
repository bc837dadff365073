"""What a run says, and its curves and report."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import cv2
import pytest
from matplotlib.figure import Figure

from mobilenet.runs import progress_line
from mobilenet.runs.curves import draw_curves
from mobilenet.runs.epoch_record import EpochRecord, Metrics
from mobilenet.runs.log import RunLog
from mobilenet.runs.markdown_report import run_report
from mobilenet.runs.progress_line import Plan, Reporter, StepReport
from mobilenet.runs.throughput import Speed


class FakeMeter:
    """Ten images per second, a fifth of the time waiting."""

    def timed(self, batches: Any) -> Any:
        return batches

    def add(self, num_images: int) -> None:
        pass

    def so_far(self) -> Speed:
        return Speed(10.0, 0.2)

    read = so_far


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def record(epoch: int, top1: float) -> EpochRecord:
    return EpochRecord(epoch, 4 * epoch, 0.1 / epoch, 2.5, 0.31, "val", 50, 2.0, top1, 0.9)


def test_progress_and_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_line, "Meter", FakeMeter)
    stream = io.StringIO()
    log = RunLog(tmp_path / "log.jsonl", stream=stream)
    reporter = Reporter(log, Plan(num_epochs=3, steps_per_epoch=4, every_steps=2))
    reporter.start_epoch(2, num_done=1)
    for step, loss in ((6, 30.0), (7, 10.0), (8, 20.0)):
        reporter.step_done(StepReport(step, Metrics(20, loss, 5), 1.5, 0.25))
    reporter.stop_steps()
    reporter.epoch_done(record(2, 0.4))
    log.close()

    first, second, epoch = map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines())
    assert (first["step"], first["loss"], first["top1"]) == (6, 1.5, 0.25)
    # Steps 7 and 8 together; a step of 20 images takes two seconds.
    assert (second["step"], second["loss"], second["gradient_norm"]) == (8, 0.75, 1.5)
    assert (first["epoch_seconds_left"], first["run_seconds_left"]) == (4.0, 12.0)
    assert (second["epoch_seconds_left"], second["run_seconds_left"]) == (0.0, 8.0)
    assert (second["images_per_second"], second["data_wait"]) == (10.0, 0.2)
    assert (epoch["event"], epoch["top1"], epoch["images_per_second"]) == ("epoch", 0.4, 10.0)
    assert stream.getvalue().splitlines() == [
        "epoch 2/3: step 6: loss 1.500, top-1 25.0 %, rate 0.25, 10 images/s,"
        " waits for data 20 %, left 00:04 of 00:12",
        "epoch 2/3: step 8: loss 0.750, top-1 25.0 %, rate 0.25, 10 images/s,"
        " waits for data 20 %, left 00:00 of 00:08",
        "epoch 2/3: loss 2.500, top-1 31.0 %; val: loss 2.000, top-1 40.00 %, top-5 90.00 %;"
        " 10 images/s",
    ]


@pytest.mark.parametrize(
    ("steps_per_epoch", "num_epochs", "told"),
    [
        (5004, 150, "10.500 100.0% lr4.9e-05 10/s wait20% 2:46/416:59h"),
        (4, 3, "10.500 100.0% lr4.9e-05 10/s wait20% 0:04/0:20"),
    ],
)
def test_the_bar_tells_all_within_80_columns(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    steps_per_epoch: int,
    num_epochs: int,
    told: str,
) -> None:
    monkeypatch.setattr(progress_line, "Meter", FakeMeter)
    stream = Terminal()
    log = RunLog(tmp_path / "log.jsonl", stream=stream)
    reporter = Reporter(log, Plan(num_epochs, steps_per_epoch, every_steps=2))
    reporter.start_epoch(1, num_done=1)
    reporter.step_done(StepReport(2, Metrics(20, 210.0, 20), 1.5, 4.9e-5))
    shown = stream.getvalue().split("\r")[-1]
    log.close()
    assert shown.rstrip().endswith(f"| 2/{steps_per_epoch}, {told}")
    assert len(shown.replace(" " * 10, "")) < 80  # the bar itself takes what is left


def test_the_bar_tells_all_within_epochs_shorter_than_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_line, "Meter", FakeMeter)
    stream = Terminal()
    log = RunLog(tmp_path / "log.jsonl", stream=stream)
    reporter = Reporter(log, Plan(num_epochs=2, steps_per_epoch=4, every_steps=50))
    reporter.start_epoch(1, num_done=0)
    told = []
    for step, loss in ((1, 30.0), (2, 10.0)):
        reporter.step_done(StepReport(step, Metrics(20, loss, 5), 1.5, 0.25))
        bar = log._bar
        assert bar is not None
        bar.refresh()
        told.append(stream.getvalue().split("\r")[-1].rstrip())
    log.close()
    assert told[0].endswith("| 1/4, 1.500 25.0% lr0.25 10/s wait20% 0:06/0:14")
    assert told[1].endswith("| 2/4, 1.000 25.0% lr0.25 10/s wait20% 0:04/0:12")
    assert (tmp_path / "log.jsonl").read_text() == ""  # the log keeps to its interval


def test_curves_are_a_picture_of_every_run(tmp_path: Path) -> None:
    history = [record(epoch, 0.1 * epoch) for epoch in range(1, 5)]
    sizes = []
    for histories in ({"": history[:1]}, {"a": history, "b": history[:2]}):
        draw_curves(histories, tmp_path / "curves.png")
        picture = cv2.imread(str(tmp_path / "curves.png"))
        assert picture.shape == (450, 1500, 3)
        sizes.append(int((picture < 128).sum()))
    assert sizes[1] > sizes[0]


def test_curves_show_every_epoch_in_percent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    save = Figure.savefig

    def saved(figure: Figure, *arguments: Any, **options: Any) -> None:
        drawn.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", saved)
    histories = {f"r{n}": [record(1, 0.25), record(2, 0.4)] for n in range(11)}
    draw_curves(histories, tmp_path / "curves.png")
    loss, error, rate = drawn[0].axes
    titles = [axes.get_title() for axes in (loss, error, rate)]
    assert titles == ["loss", "error, %", "learning rate"]
    lines = {line.get_label(): [*line.get_ydata()] for line in (*loss.lines, *error.lines)}
    assert lines["r0 training"] == [2.5, 2.5]
    assert lines["r10 validation"] == [2.0, 2.0]
    assert lines["r3 training, top-1"] == pytest.approx([69, 69])
    assert lines["r3 top-1"] == pytest.approx([75, 60])
    assert lines["r3 top-5"] == pytest.approx([10, 10])
    assert [*rate.lines[0].get_xdata()] == [1, 2]
    assert [*rate.lines[0].get_ydata()] == [0.1, 0.05]
    colors = [line.get_color() for line in rate.lines]
    assert colors == [*(f"C{n}" for n in range(10)), "C0"]


@pytest.mark.parametrize(
    ("epoch_left", "run_left", "told"),
    [
        (0, 3599, "0:00/59:59"),
        (60, 3600, "0:01/1:00h"),
        (59.9, 60, "0:59/1:00"),
        (7261, 7320, "2:01/2:02h"),
    ],
)
def test_times_of_runs_of_minutes_and_hours(epoch_left: float, run_left: float, told: str) -> None:
    assert progress_line._short_times(epoch_left, run_left) == told


def test_report_names_the_best_epoch() -> None:
    history = [record(1, 0.2), record(2, 0.5), record(3, 0.4)]
    text = run_report("slim", history, "model:\n  classes: 10\n", {"machine": "2 x abacus"})
    assert text.startswith(
        "# slim\n\nTop-1 accuracy 50.00 %, top-5 90.00 % on the 50 images of val.rec,"
        " in epoch 2 of 3.\n"
    )
    assert "| best | 2 | 2.500 | 31.00 % | 2.000 | 50.00 % | 90.00 % |" in text
    assert "| last | 3 | 2.500 | 31.00 % | 2.000 | 40.00 % | 90.00 % |" in text
    assert "\n* machine: 2 x abacus\n" in text
    assert "```yaml\nmodel:\n  classes: 10\n```\n" in text


def test_a_bad_record_is_told_once(tmp_path: Path) -> None:
    stream = io.StringIO()
    log = RunLog(tmp_path / "log.jsonl", stream=stream)
    reporter = Reporter(log, Plan(num_epochs=3, steps_per_epoch=4, every_steps=2))
    found: dict[int, Exception] = {7: ValueError("record 7")}
    reporter.bad_records(found)
    reporter.bad_records(found)
    reporter.bad_records({**found, 3: ValueError("record 3")})
    log.close()
    told = re.findall(r"replaced by another record: (.*)", stream.getvalue())
    assert told == ["record 7", "record 3"]
