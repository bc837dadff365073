"""`average` and `compare` by the command line, on runs of a few steps."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import pytest
from tiny_run import config, write_records

from mobilenet import cli
from mobilenet.runs import run_table
from mobilenet.runs.checkpoint import checkpoint_paths, epoch_ends
from mobilenet.runs.checkpoint_folder import read_checkpoint
from mobilenet.training.training_run import train


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


def test_compare_tabulates_and_plots(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    curves = tmp_path / "curves.png"
    assert cli.main(["compare", *map(str, runs), "--curves", str(curves)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| result | first | other |"
    assert lines[2] == "| epoch | 3 | 1 |"
    assert "| schedule.learning_rate | 0.02 | 0.01 |" in lines
    assert lines[-1] == f"curves: {curves}"
    picture = cv2.imread(str(curves))
    colours = {tuple(colour) for colour in picture.reshape(-1, 3).tolist()}
    assert {(180, 119, 31), (14, 127, 255)} <= colours  # a colour for each run


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
    monkeypatch.setattr(run_table, "draw_curves", lambda runs, _: drawn.extend(runs))
    assert cli.main(["compare", "a/run", "b/run"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "| result | a/run | b/run |"
    assert drawn == ["a/run", "b/run"]


def test_compare_of_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    curves = tmp_path / "curves.png"
    assert cli.main(["compare", str(tmp_path), "--curves", str(curves)]) == 2
    assert capsys.readouterr().err == (
        f"mobilenet compare: {tmp_path}: no run that has finished an epoch\n"
    )
    assert not curves.exists()
