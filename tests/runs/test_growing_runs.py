"""Runs whose resolution grows go on exactly, before and after it has grown."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_run import STEPS_PER_EPOCH, config, digests, train, train_with_kills, write_records
from told import assert_told

from mobilenet import build, settings
from mobilenet.errors import ConfigError
from mobilenet.runs import run_folder
from mobilenet.settings.schema import Config
from mobilenet.training.build import schedule

GROWING = (
    "training.resolution_steps=[[0, 32], [0.5, 48]]",
    "data.resolution=48",
    "validation.short_side=48",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("growing")
    write_records(made / "records")
    return made


def test_killed_before_and_after_it_has_grown(folder: Path) -> None:
    """A process that begins at the second resolution trains like one that was at the first."""
    done = train(folder, "whole", *GROWING)
    assert done.returncode == 0, done.stderr
    train_with_kills(folder, "killed", (3, STEPS_PER_EPOCH + 3), *GROWING)
    assert digests(folder / "killed") == digests(folder / "whole")


def test_batches_grow_and_all_else_stays(folder: Path) -> None:
    growing, plain = config(folder / "records", *GROWING), config(folder / "records")
    reader, usual = build.train_reader(growing), build.train_reader(plain)
    assert reader.steps_per_epoch == usual.steps_per_epoch
    for epoch, pixels in enumerate((32, 48, 48)):
        size = (f"data.resolution={pixels}", "validation.short_side=48")
        same = build.train_reader(config(folder / "records", *size))
        for batch, other in zip(reader.batches(epoch, 5), same.batches(epoch, 5)):
            assert batch.data.shape == (8, 3, pixels, pixels)
            assert batch.data.tobytes() == other.data.tobytes()
            assert batch.positions.tolist() == other.positions.tolist()
    assert build.eval_transform(growing).size == (48, 48)
    rates, others = (schedule(made, usual.steps_per_epoch) for made in (growing, plain))
    assert [rates(step) for step in range(14)] == [others(step) for step in range(14)]


WRONG = {
    "[[0.1, 128], [0.5, 224]]": "must begin at 0, the start of the run, not at 0.1",
    "[[0, 128], [0.5, 160], [0.5, 224]]": "the parts of the run must rise, and stay below 1",
    "[[0, 128], [0.6, 160], [0.5, 224]]": "the parts of the run must rise, and stay below 1",
    "[[0, 128], [1, 224]]": "the parts of the run must rise, and stay below 1",
    "[[0, 160], [0.5, 128], [0.7, 224]]": "the resolutions must rise",
    "[[0, 16], [0.5, 224]]": "resolutions are integers of pixels, 32 to 2048",
    "[[0, 100.5], [0.5, 224]]": "resolutions are integers of pixels, 32 to 2048",
    "[[0, 128], [0.5, 192]]": "must end with data.resolution (=224), not 192",
    "[[0, 128], [0.99, 224]]": "training.epochs (=10) is too few for an epoch at each resolution",
    "[[0, 128], [0.5, 160], [0.52, 224]]": (
        "training.epochs (=10) is too few for an epoch at each resolution"
    ),
}


@pytest.mark.parametrize("value", WRONG)
def test_wrong_steps_are_refused(value: str) -> None:
    text = f"training: {{epochs: 10, resolution_steps: {value}}}"
    with pytest.raises(ConfigError) as caught:
        settings.loads(Config, text, "my.yaml")
    assert str(caught.value) == f"my.yaml:1: training.resolution_steps: {WRONG[value]}"
    assert_told(str(caught.value), "a resolution that cannot grow so")


def test_another_number_of_epochs_is_told(tmp_path: Path) -> None:
    """It moves the epochs at which the resolution grows."""
    constant = (*GROWING, "schedule.name=constant", "schedule.warmup_epochs=0.5")
    began, given = (config(tmp_path, *constant, f"training.epochs={epochs}") for epochs in (2, 4))
    assert run_folder.check_changes(began, given, tmp_path) == ["training.epochs: 2 -> 4"]
