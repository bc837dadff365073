"""From a folder of photos to a run: records, number of classes, rate, preview, early stop."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from tiny_run import CONFIG, config, events, write_records
from told import assert_told

from mobilenet import build, cli, notebook_figures, settings
from mobilenet.data.record_file import RecordFile, RecordWriter
from mobilenet.errors import ConfigError, RunStopped
from mobilenet.packing.drawn_sample import write_sample
from mobilenet.runs.checkpoint import best_epoch, checkpoint_paths
from mobilenet.runs.checkpoint_folder import read_checkpoint
from mobilenet.runs.epoch_record import EpochRecord
from mobilenet.settings.schema import Config
from mobilenet.training import epoch_loop
from mobilenet.training.build import as_setting
from mobilenet.training.divergence import divergence
from mobilenet.training.training_run import train

AUTO = "model.classes=auto"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten classes of eight photos, and their records in the folder `records` beside."""
    folder = tmp_path_factory.mktemp("own")
    write_sample(folder / "drawn", num_train_per_class=8, num_val_per_class=1, size=32, seed=0)
    (folder / "drawn" / "train").rename(folder / "photos")
    call = ["prepare", "--source", folder / "photos", "--output", folder / "records"]
    assert cli.main([*map(str, call)]) == 0
    return folder


@pytest.fixture
def here(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the configuration and the records."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(CONFIG)
    Path("records").symlink_to(photos / "records")
    return tmp_path


def shape(path: str) -> tuple[int, ...]:
    return tuple(cv2.imread(path).shape)


def test_the_number_of_classes_comes_from_the_records(here: Path) -> None:
    assert cli.main(["train", "tiny.yaml", AUTO, "training.epochs=1", "--run", "run"]) == 0
    assert settings.load(Config, here / "run" / "config.yaml").model.classes == 10
    # Resuming it takes the same number.
    again = ["train", "tiny.yaml", AUTO, "training.epochs=1", "--run", "run", "--resume"]
    assert cli.main(again) == 0
    assert cli.main(["validate", "run"]) == 0
    assert cli.main(["export", "run", "--output", "photos.onnx"]) == 0


@pytest.mark.parametrize("number", [9, 11])
def test_another_number_of_classes_is_refused_before_the_first_step(
    number: int, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["train", "tiny.yaml", f"model.classes={number}", "--run", "run"]
    assert cli.main(call) == 2
    said = capsys.readouterr().err
    assert_told(said, "another number of classes")
    assert f"have 10 classes, but the model has {number}" in said
    assert not (here / "run").exists()


def test_records_of_others_tell_their_classes_too(tmp_path: Path) -> None:
    write_records(tmp_path / "records")
    assert build.resolved(config(tmp_path / "records", AUTO)).model.classes == 10
    (tmp_path / "records" / "synset.txt").unlink()
    assert build.resolved(config(tmp_path / "records", AUTO)).model.classes == 10


def test_few_records_get_more_epochs(here: Path) -> None:
    few = config(here / "records", "training.min_steps=20", "training.epochs=2")
    epochs = build.resolved(few).training.epochs
    assert (epochs, build.resolved(build.resolved(few))) == (3, build.resolved(few))
    enough = config(here / "records", "training.min_steps=10", "training.epochs=2")
    assert build.resolved(enough).training.epochs == 2


def test_auto_is_a_number_in_training_alone() -> None:
    automatic = settings.loads(Config, "model: {classes: auto}")
    assert "classes: auto\n" in settings.dump(automatic)
    assert settings.loads(Config, settings.dump(automatic)) == automatic
    with pytest.raises(ConfigError, match="auto takes the number from the records of a training"):
        build.network(automatic)
    for wrong in ("0", "Auto", "-1"):
        with pytest.raises(ConfigError, match="expected auto or an integer, at least 1"):
            settings.loads(Config, f"model: {{classes: {wrong}}}")


def test_records_without_a_validation_part_say_how_to_get_one(
    here: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare = ["prepare", "--source", str(photos / "photos"), "--val", "0", "--output", "none"]
    assert cli.main(prepare) == 0
    assert "validation: no images" in capsys.readouterr().out
    call = ["train", "tiny.yaml", AUTO, "data.directory=none", "--run", "run"]
    assert cli.main(call) == 2
    assert_told(capsys.readouterr().err, "records without a validation part")
    assert not (here / "run").exists()


def test_a_part_for_validation_where_there_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "val"):
        folder = tmp_path / "photos" / split / "cat"
        folder.mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(folder / "1.png")
    source, output = (str(tmp_path / name) for name in ("photos", "records"))
    assert cli.main(["prepare", "--source", source, "--output", output, "--val", "0.3"]) == 2
    assert_told(capsys.readouterr().err, "a validation part of a source that has one")


def one_label(path: Path) -> None:
    """Gives every record the same label, which is learnt in a few steps."""
    with contextlib.closing(RecordFile(path)) as records:
        images = [bytes(records.image(place)) for place in range(len(records))]
    with RecordWriter(path, path.with_suffix(".idx")) as writer:
        for key, image in enumerate(images):
            writer.write(key, 0, image)


def test_find_rate_suggests_one_and_touches_nothing_else(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {*here.iterdir()}
    call = ["find-rate", "tiny.yaml", AUTO, "--steps", "40", "--json", "rates.json"]
    assert cli.main(call) == 1  # this network learns nothing in so few steps
    assert_told(capsys.readouterr().err, "no learning rate at which the loss falls")
    assert {*here.iterdir()} == before
    one_label(here / "records" / "train.rec")
    assert cli.main([*call, "--output", "rates.png"]) == 0
    said = capsys.readouterr().out
    found = json.loads(Path("rates.json").read_text())
    assert said.startswith(f"schedule.learning_rate={found['learning_rate']:g}, ")
    assert 1e-5 < found["learning_rate"] < 1
    assert len(found["rates"]) == len(found["losses"]) > 20
    assert found["losses"][-1] > min(found["losses"]) < found["losses"][0]
    assert {path.name for path in {*here.iterdir()} - before} == {"rates.json", "rates.png"}
    assert shape("rates.png")[1] > 100
    # With a reference batch the setting is another number than the rate.
    twice = config(here / "records", "schedule.reference_batch_size=16")
    assert as_setting(twice, 0.1) == pytest.approx(0.2)


def test_preview_shows_what_training_sees(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn: list[Any] = []
    draw = notebook_figures.draw_batch
    monkeypatch.setattr(
        notebook_figures, "draw_batch", lambda *given: (drawn.append(given), draw(*given))
    )
    call = ["preview", "tiny.yaml", AUTO, "--images", "5", "--output"]
    for name, form in (("sheet.jpg", b"\xd8\xff\xe0"), ("sheet.png", b"PNG")):
        assert cli.main([*call, name]) == 0
        assert capsys.readouterr().out == f"{name}: 5 images of the first batch\n"
        assert Path(name).read_bytes()[1:4] == form
        assert shape(name)[1] > 300
    first = next(build.train_reader(config(here / "records", AUTO)).batches(0))
    for batch, _, names, _ in drawn:
        np.testing.assert_array_equal(batch.data, first.data[:5])
        np.testing.assert_array_equal(batch.labels, first.labels[:5])
        assert list(names) == (here / "records" / "synset.txt").read_text().splitlines()


def test_preview_of_a_run(here: Path) -> None:
    train(config(here / "records", "training.epochs=1"), here / "run", resume=False)
    assert cli.main(["preview", "run", "--output", "sheet.png"]) == 0
    assert shape("sheet.png")[1] > 300


# A rate at which nothing moves: every epoch is as good as the first one.
STILL = ("schedule.learning_rate=1e-12", "training.ema_decay=null", "training.epochs=6")


def test_a_run_ends_early_without_a_better_epoch(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = here / "run"
    result = train(config(here / "records", *STILL, "training.patience=2"), run, resume=False)
    assert result is not None
    history = read_checkpoint(checkpoint_paths(run)[-1]).state.progress.history
    best = best_epoch(history).epoch
    assert len(history) == best + 2 < 6
    (stop,) = (event for event in events(run) if event["event"] == "early_stop")
    assert stop["best_epoch"] == best == result.record.epoch
    assert capsys.readouterr().err.count("the run ends early (training.patience)") == 1
    # It is over, and stays so; with more patience it goes on.
    names = {path.name for path in checkpoint_paths(run)}
    train(config(here / "records", *STILL, "training.patience=2"), run, resume=True)
    assert {path.name for path in checkpoint_paths(run)} == names
    train(config(here / "records", *STILL, "training.patience=3"), run, resume=True)
    assert len(read_checkpoint(checkpoint_paths(run)[-1]).state.progress.history) > len(history)


def test_patience_survives_a_stop(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in between and resumed, a run ends where it would have ended."""
    patient = config(here / "records", *STILL, "training.patience=2")
    train(patient, here / "whole", resume=False)
    finish = epoch_loop.Trainer._finish_epoch

    def stop_after_two(self: epoch_loop.Trainer, stop: Any) -> None:
        finish(self, stop)
        if len(self._progress.history) == 2:
            stop.number = 15

    monkeypatch.setattr(epoch_loop.Trainer, "_finish_epoch", stop_after_two)
    with pytest.raises(RunStopped):
        train(patient, here / "run", resume=False)
    monkeypatch.undo()
    train(patient, here / "run", resume=True)
    whole, resumed = (
        read_checkpoint(checkpoint_paths(here / name)[-1]).state.progress.history
        for name in ("whole", "run")
    )
    assert whole == resumed


def record(epoch: int, loss: float) -> EpochRecord:
    return EpochRecord(epoch, epoch, 0.1, loss, 0.5, "val", 10, loss, 0.5, 0.9)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([2.0], ""),
        ([2.0, 1.9, 1.5], ""),
        ([1.0, 1.4, 1.2], ""),
        ([1.0, 1.6], "epoch 2: the training loss is 1.600, after 1.000 in epoch 1: lower"),
        ([1.8, 2.6], "epoch 2: the training loss is 2.600, worse than guessing (2.303): lower"),
        ([2.3, 2.4], ""),  # slow, not diverging
        ([3.0, 3.0, 3.0], ""),  # it was said after the second
        ([1.0, math.inf], "epoch 2: the training loss is inf, worse than guessing"),
    ],
)
def test_divergence(losses: list[float], expected: str) -> None:
    said = divergence([record(n, loss) for n, loss in enumerate(losses, 1)], 10)
    assert said.startswith(expected)
    assert bool(said) == bool(expected)
    assert divergence([record(n, loss) for n, loss in enumerate(losses, 1)], 1) == ""


def test_a_rate_that_is_too_high_is_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    too_high = ("schedule.learning_rate=30", "optimizer.clip_norm=null", "training.ema_decay=null")
    short = ("training.epochs=3", "schedule.warmup_epochs=0")
    assert cli.main(["train", "tiny.yaml", *too_high, *short, "--run", "run"]) in (0, 1)
    said = capsys.readouterr().err
    assert "lower schedule.learning_rate; `mobilenet find-rate` suggests one" in said
