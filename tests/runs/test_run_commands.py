"""`average` and `compare` by the command line, on runs of a few steps."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import pytest
from scipy import stats
from tiny_run import config, write_records

from mobilenet import cli
from mobilenet.network.architecture import MobileNetV2
from mobilenet.network.complexity import complexity
from mobilenet.network.graph_forms import symbol_of
from mobilenet.runs import curves
from mobilenet.runs.checkpoint import checkpoint_paths, epoch_ends
from mobilenet.runs.checkpoint_folder import read_checkpoint
from mobilenet.runs.run_table import read_runs
from mobilenet.training.training_run import train
from mobilenet.validation.accuracy_statistics import wilson_interval


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run of three epochs that keeps all, and one of another rate."""
    folder = tmp_path_factory.mktemp("runs")
    write_records(folder / "records")
    first = config(folder / "records", "training.epochs=3", "checkpoint.keep_every_epochs=1")
    other = config(folder / "records", "training.epochs=1", "schedule.learning_rate=0.01")
    train(first, folder / "first", resume=False)
    train(other, folder / "other", resume=False)
    return folder / "first", folder / "other"


def test_average_is_the_mean_of_the_newest_epochs(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, output = runs[0], tmp_path / "mean.params"
    ends = list(epoch_ends(run))
    assert len(checkpoint_paths(run)) > len(epoch_ends(run)) == 3
    assert cli.main(["average", str(run), "--last", "2", "--output", str(output)]) == 0
    config_path = run / "config.yaml"
    assert capsys.readouterr().out.splitlines() == [
        *map(str, ends[1:]),
        f"average: {output}, with --config {config_path}",
    ]
    members = [read_checkpoint(path).arrays("average") for path in ends[1:]]
    for name, mean in mx.nd.load(str(output)).items():
        expected = sum(member[name].asnumpy().astype(np.float64) for member in members) / 2
        np.testing.assert_allclose(mean.asnumpy(), expected, rtol=1e-6, atol=1e-12)
    assert cli.main(["validate", str(output), "--config", str(config_path)]) == 0
    assert "20" in capsys.readouterr().out


def test_too_few_checkpoints_to_average(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, output = runs[0], tmp_path / "mean.params"
    for folder, number in ((run, 3), (tmp_path / "nowhere", 0)):
        assert cli.main(["average", str(folder), "--last", "4", "--output", str(output)]) == 2
        assert capsys.readouterr().err == (
            f"mobilenet average: {folder}: keeps {number} checkpoints that end an epoch, not 4:"
            " lower --last, or train with a higher checkpoint.keep_last\n"
        )
    assert not output.exists()


def test_only_damage_to_what_is_averaged_is_in_the_way(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, output = tmp_path / "run", tmp_path / "mean.params"
    shutil.copytree(runs[0], run)
    first = next(iter(epoch_ends(run)))
    inside_epochs = sorted(set(checkpoint_paths(run)) - set(epoch_ends(run)))
    assert inside_epochs
    for path in (*inside_epochs, first):
        (path / "state.json").write_bytes(b"")
    arguments = ["average", str(run), "--output", str(output), "--last"]
    assert cli.main([*arguments, "2"]) == 0
    assert output.exists()
    capsys.readouterr()
    assert cli.main([*arguments, "3"]) == 2
    assert capsys.readouterr().err == (
        f"mobilenet average: {first}: damaged checkpoint: state.json is not as it was written\n"
    )


def test_compare_tells_of_a_damaged_checkpoint(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run is shown as it was before: in silence that would be the wrong figure."""
    run = tmp_path / "run"
    shutil.copytree(runs[0], run)
    newest = checkpoint_paths(run)[-1]
    (newest / "state.json").write_bytes(b"")
    assert cli.main(["compare", str(run), "--curves", str(tmp_path / "curves.png")]) == 0
    said = capsys.readouterr()
    assert said.err.startswith(f"warning: {newest}: damaged checkpoint: state.json is not as it")
    assert "| epoch | 2 |" in said.out


def cells(out: str) -> dict[str, list[str]]:
    """The rows of the tables that `compare` prints, by their first cell."""
    rows = [line.strip("| ").split(" | ") for line in out.splitlines() if line.startswith("|")]
    return {name: values for name, *values in rows}


def test_compare_tabulates_and_plots(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "curves.png"
    assert cli.main(["compare", *map(str, runs), "--curves", str(plot)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| result | first | other |"
    assert lines[2] == "| epoch | 3 | 1 |"
    assert "| schedule.learning_rate | 0.02 | 0.01 |" in lines
    shown = cells("\n".join(lines))
    for place, run in enumerate(read_runs(runs)):
        num_right = round(20 * run.best.top1)
        low, high = wilson_interval(num_right, 20)
        assert shown["top-1"][place] == f"{5 * num_right:.2f} %"
        assert shown["95 % interval"][place] == f"{100 * low:.2f} to {100 * high:.2f} %"
        cost = complexity(symbol_of(MobileNetV2(0.1, 10)), 32)
        assert shown["parameters"][place] == f"{cost.num_parameters:,}"
        assert shown["multiply-adds"][place] == f"{cost.multiply_adds:,}"
        assert 0.01 < float(shown["ms per image, here"][place]) < 10_000
    assert shown["McNemar's p beside first"] == ["-", "-"]
    assert any("on this machine" in line and "processors" in line for line in lines)
    assert lines[-1] == f"curves: {plot}"
    picture = cv2.imread(str(plot))
    colours = {tuple(colour) for colour in picture.reshape(-1, 3).tolist()}
    assert {(180, 119, 31), (14, 127, 255)} <= colours  # a colour for each run


def test_compare_tests_the_difference_of_kept_answers(
    runs: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By reports in the runs' own folders; nothing else is written, and stale ones do not count."""
    monkeypatch.chdir(tmp_path)
    for run in runs:
        shutil.copytree(run, run.name)
    assert cli.main(["compare", "first", "other"]) == 0
    said = capsys.readouterr().out
    assert "`mobilenet validate RUN --report RUN/report` keeps: first has no report, other" in said
    for run in runs:
        assert cli.main(["validate", run.name, "--report", f"{run.name}/report"]) == 0
    before = sorted(tmp_path.rglob("*"))
    capsys.readouterr()
    assert cli.main(["compare", "first", "other"]) == 0
    said = capsys.readouterr().out
    assert "keeps" not in said
    assert sorted(tmp_path.rglob("*")) == before
    right = []
    for run in runs:
        with Path(run.name, "report", "predictions.csv").open(newline="") as file:
            right.append([row["label"] == row["top_1"] for row in csv.DictReader(file)])
    only = [sum(a and not b for a, b in zip(*pair)) for pair in (right, right[::-1])]
    p_value = stats.binomtest(only[0], sum(only)).pvalue if sum(only) else 1.0
    meaning = "more than chance" if p_value < 0.05 else "may well be chance"
    assert cells(said)["McNemar's p beside first"] == ["-", f"{p_value:.3g}, {meaning}"]

    shutil.copy("first/report/metrics.json", "other/report/metrics.json")
    assert cli.main(["compare", "first", "other"]) == 0
    said = capsys.readouterr().out
    assert "keeps: other has a report of other weights than its best (other/report)" in said
    Path("other/report/metrics.json").write_text("{")
    assert cli.main(["compare", "first", "other"]) == 0
    assert "other has a report that cannot be read" in capsys.readouterr().out


def test_compared_runs_of_the_same_name_go_by_their_paths(
    runs: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As those of two quickstarts; one would take the place of the other in the plot."""
    monkeypatch.chdir(tmp_path)
    for folder, run in zip(("a", "b"), runs):
        shutil.copytree(run, Path(folder, "run"))
    drawn: list[str] = []
    monkeypatch.setattr(curves, "draw_curves", lambda runs, _: drawn.extend(runs))
    assert cli.main(["compare", "a/run", "b/run", "--curves", "curves.png"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "| result | a/run | b/run |"
    assert drawn == ["a/run", "b/run"]


def test_compare_of_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot = tmp_path / "curves.png"
    assert cli.main(["compare", str(tmp_path), "--curves", str(plot)]) == 2
    assert capsys.readouterr().err == (
        f"mobilenet compare: {tmp_path}: no run that has finished an epoch\n"
    )
    assert not plot.exists()
