"""Checkpoints: whole or not at all, damage found, the right ones kept."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import mxnet as mx
import numpy as np
import pytest
from told import assert_told

from mobilenet import files
from mobilenet.errors import WeightsError
from mobilenet.runs import checkpoint
from mobilenet.runs.checkpoint_averaging import average_checkpoints
from mobilenet.runs.checkpoint_folder import Arrays, State, read_checkpoint
from mobilenet.runs.described_weights import best_weights, weights_file
from mobilenet.runs.epoch_record import EpochRecord, Metrics, Progress

STEPS_PER_EPOCH = 10


def record(epoch: int, top1: float) -> EpochRecord:
    return EpochRecord(epoch, epoch * STEPS_PER_EPOCH, 0.1, 2.5, 0.3, "val", 50, 2.0, top1, 0.9)


def state(step: int, top1s: tuple[float, ...] = ()) -> State:
    history = [record(epoch, top1) for epoch, top1 in enumerate(top1s, 1)]
    progress = Progress(step, Metrics(64, 1.25, 3), history, num_rollbacks=1)
    return State(progress, "training: {}\n", {"train": {"index": "abc"}}, weights="parameters")


def groups(value: float) -> dict[str, Arrays]:
    return {
        "parameters": {"w": mx.nd.full((2, 3), value)},
        "optimizer": {"velocity/w": mx.nd.full((2, 3), -value)},
    }


def save_epochs(run: Path, top1s: tuple[float, ...]) -> list[Path]:
    return [
        checkpoint.save(run, state(epoch * STEPS_PER_EPOCH, top1s[:epoch]), groups(epoch))
        for epoch in range(1, len(top1s) + 1)
    ]


def test_a_damaged_best_one_names_another(tmp_path: Path) -> None:
    _, best, last = save_epochs(tmp_path, (0.1, 0.5, 0.4))
    (best / "parameters.params").write_bytes(b"")
    with pytest.raises(WeightsError) as caught:
        best_weights(tmp_path)
    assert str(caught.value) == (
        f"{best}: damaged checkpoint: parameters.params is not as it was written;"
        f" the run's best is lost; another checkpoint is {last}"
    )
    assert weights_file(last) == last / "parameters.params"


def test_the_mean_of_one_network_is_itself_and_of_others_is_refused(tmp_path: Path) -> None:
    first, second = save_epochs(tmp_path, (0.1, 0.5))
    average_checkpoints([second], tmp_path / "mean.params")
    mean = mx.nd.load(str(tmp_path / "mean.params"))["w"]
    np.testing.assert_array_equal(mean.asnumpy(), groups(2)["parameters"]["w"].asnumpy())
    wider: dict[str, Arrays] = {"parameters": {"w": mx.nd.ones((2, 4))}}
    third = checkpoint.save(tmp_path, state(25), wider)
    with pytest.raises(WeightsError) as caught:
        average_checkpoints([first, second, third], tmp_path / "none.params")
    assert str(caught.value) == f"{third}: holds another network than {first}"
    assert not (tmp_path / "none.params").exists()


def names(run: Path) -> list[str]:
    return [path.name for path in checkpoint.checkpoint_paths(run)]


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    saved = state(10, (0.5,))
    path = checkpoint.save(tmp_path, saved, groups(1.5))
    read = read_checkpoint(path)
    assert read.state == saved
    np.testing.assert_array_equal(read.arrays("parameters")["w"].asnumpy(), np.full((2, 3), 1.5))
    np.testing.assert_array_equal(
        read.arrays("optimizer")["velocity/w"].asnumpy(), np.full((2, 3), -1.5)
    )
    assert weights_file(path) == path / "parameters.params"
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name]


def test_names_tell_steps_and_epochs(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, state(10, (0.5,)), groups(0))
    checkpoint.save(tmp_path, state(10), groups(0))
    checkpoint.save(tmp_path, state(123456789, (0.5,)), groups(0))
    checkpoint.save(tmp_path, state(9), groups(0))
    assert names(tmp_path) == [
        "step-00000009",
        "step-00000010",
        "step-00000010-epoch-0001",
        "step-123456789",
    ]


@pytest.mark.parametrize("name", ["parameters.params", "optimizer.params", "state.json"])
def test_one_changed_byte_is_found(tmp_path: Path, name: str) -> None:
    path = checkpoint.save(tmp_path, state(10, (0.5,)), groups(1))
    content = bytearray((path / name).read_bytes())
    position = content.index(b"0.5") if name == "state.json" else len(content) // 2
    content[position] ^= 1
    (path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=rf"{path}: damaged checkpoint: {name} is not as it was"):
        read_checkpoint(path)


@pytest.mark.parametrize("name", ["parameters.params", "state.json"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    path = checkpoint.save(tmp_path, state(10), groups(1))
    (path / name).unlink()
    with pytest.raises(WeightsError, match=rf"no complete checkpoint: {name}: No such file"):
        read_checkpoint(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"sha256": 1}', "\xff"])
def test_any_other_state_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = checkpoint.save(tmp_path, state(10), groups(1))
    (path / "state.json").write_text(text, encoding="latin-1")
    with pytest.raises(WeightsError) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_damaged_newest_gives_way_to_the_one_before(tmp_path: Path) -> None:
    _, middle, newest = save_epochs(tmp_path, (0.1, 0.2, 0.3))
    (newest / "parameters.params").write_bytes(b"")
    warnings: list[str] = []
    found = checkpoint.newest_checkpoint(tmp_path, warnings.append)
    assert found is not None
    assert found.path == middle
    assert len(warnings) == 1
    assert warnings[0].startswith(str(newest))


def test_what_is_damaged_is_set_aside_and_never_deleted(tmp_path: Path) -> None:
    """Again and again, under names of their own."""
    first, _ = save_epochs(tmp_path, (0.1, 0.2))
    for number in range(3):
        newest = save_epochs(tmp_path, (0.1, 0.2))[1]
        (newest / "parameters.params").write_text(str(number))
        warnings: list[str] = []
        found = checkpoint.newest_checkpoint(tmp_path, warnings.append)
        checkpoint.clear_after(tmp_path, found, warnings.append)
        assert names(tmp_path) == [first.name]
        aside = newest.with_name(f"damaged-{newest.name}{f'-{number + 1}' if number else ''}")
        assert (aside / "parameters.params").read_text() == str(number)
        assert warnings[1] == f"{newest}: set aside as {aside.name}"


@pytest.mark.parametrize("name", ["parameters.params", "state.json"])
def test_what_cannot_be_read_for_a_moment_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Nothing is taken in its place: the run would go on from further back."""
    _, newest = save_epochs(tmp_path, (0.1, 0.2))
    with monkeypatch.context() as patched:
        failing(patched, newest / name)
        with pytest.raises(WeightsError) as caught:
            checkpoint.newest_checkpoint(tmp_path, pytest.fail)
        assert str(caught.value).startswith(f"{newest}: {name} cannot be read: Input/output error;")
        assert_told(str(caught.value), "a checkpoint that cannot be read")
        with pytest.raises(WeightsError, match="Input/output error"):
            weights_file(newest)
    found = checkpoint.newest_checkpoint(tmp_path, pytest.fail)
    assert found is not None
    assert found.path == newest


def test_a_best_one_that_cannot_be_read_is_kept_and_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = save_epochs(tmp_path, (0.1, 0.5, 0.2, 0.3))
    with monkeypatch.context() as patched:
        failing(patched, paths[1] / "state.json")
        assert checkpoint.best(tmp_path) == (paths[1], record(2, 0.5))  # later ones tell of it
        with pytest.raises(WeightsError, match="Input/output error"):
            best_weights(tmp_path)
        checkpoint.prune(tmp_path, 1, None)
    assert names(tmp_path) == [paths[1].name, paths[3].name]
    checkpoint.prune(tmp_path, 1, None)
    assert names(tmp_path) == [paths[1].name, paths[3].name]
    for spoil in (lambda path: path.write_bytes(b""), lambda path: failing(monkeypatch, path)):
        spoil(paths[3] / "state.json")
        with pytest.raises(WeightsError) as caught:
            checkpoint.best(tmp_path)
        assert_told(str(caught.value), "a best checkpoint that nobody knows")


def failing(patched: pytest.MonkeyPatch, path: Path) -> None:
    """Makes every attempt to open a file fail as on a disk with a bad sector."""
    opened = Path.open

    def open_(self: Path, *arguments: Any, **options: Any) -> Any:
        if self == path:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(self))
        return opened(self, *arguments, **options)

    patched.setattr(Path, "open", open_)


def test_a_checkpoint_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    first, newest = save_epochs(tmp_path, (0.5, 0.2))
    rewrite(newest, package_version="9.0", rhythm="slow")
    with pytest.raises(WeightsError) as caught:
        checkpoint.newest_checkpoint(tmp_path, pytest.fail)
    assert str(caught.value).startswith(f"{newest}: written by mobilenet 9.0, whose checkpoints")
    assert_told(str(caught.value), "a checkpoint of another version")
    third = checkpoint.save(tmp_path, state(30, (0.5, 0.2, 0.1)), groups(3))
    checkpoint.prune(tmp_path, 1, None)
    assert names(tmp_path) == [first.name, newest.name, third.name]


def test_only_damaged_ones_are_an_error_not_a_new_start(tmp_path: Path) -> None:
    for path in save_epochs(tmp_path, (0.1, 0.2)):
        (path / "parameters.params").unlink()
    with pytest.raises(WeightsError, match="all of its 2 checkpoints are damaged"):
        checkpoint.newest_checkpoint(tmp_path, lambda text: None)


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert checkpoint.newest_checkpoint(tmp_path, lambda text: None) is None


def test_best_is_the_earliest_with_the_highest_accuracy(tmp_path: Path) -> None:
    paths = save_epochs(tmp_path, (0.1, 0.4, 0.3, 0.4))
    checkpoint.save(tmp_path, state(45, (0.1, 0.4, 0.3, 0.4)), groups(0))
    assert checkpoint.best(tmp_path) == (paths[1], record(2, 0.4))
    assert checkpoint.best(tmp_path)[0] == paths[1]


def test_without_a_validation_there_is_no_best(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, state(5), groups(0))
    with pytest.raises(WeightsError, match="has no checkpoint that was validated yet"):
        checkpoint.best(tmp_path)


def test_newest_best_and_every_third_are_kept(tmp_path: Path) -> None:
    save_epochs(tmp_path, (0.1, 0.5, 0.2, 0.3, 0.3, 0.4, 0.3, 0.2))
    checkpoint.save(tmp_path, state(85, (0.1,)), groups(0))
    checkpoint.prune(tmp_path, keep_last=2, keep_every_epochs=3)
    assert names(tmp_path) == [
        "step-00000020-epoch-0002",  # best
        "step-00000030-epoch-0003",  # every third
        "step-00000060-epoch-0006",  # every third
        "step-00000080-epoch-0008",  # newest
        "step-00000085",  # newest
    ]
    checkpoint.prune(tmp_path, keep_last=1, keep_every_epochs=None)
    assert names(tmp_path) == ["step-00000020-epoch-0002", "step-00000085"]


def test_what_people_put_beside_checkpoints_is_left_alone(tmp_path: Path) -> None:
    first, last = save_epochs(tmp_path, (0.1, 0.5))
    archive = first.with_name(f"{first.name}.tar")
    archive.touch()
    copy = last.with_name(f"{last.name}-copy")
    shutil.copytree(last, copy)
    checkpoint.prune(tmp_path, keep_last=1, keep_every_epochs=None)
    checkpoint.clear_after(tmp_path, None, lambda _: None)
    aside = last.with_name(f"damaged-{last.name}")
    assert set(last.parent.iterdir()) == {archive, copy, aside}


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    (path,) = save_epochs(tmp_path, (0.1,))
    unfinished = path.parent / ".temporary-xyz"
    unfinished.mkdir()
    (unfinished / "parameters.params").write_bytes(b"half")
    assert names(tmp_path) == [path.name]
    checkpoint.clear_after(tmp_path, read_checkpoint(path), lambda _: None)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_failed_save_leaves_nothing(tmp_path: Path) -> None:
    (path,) = save_epochs(tmp_path, (0.1,))
    broken: Any = {"parameters": {"w": mx.nd.ones((1,)), "x": None}}  # fails in the midst of a file
    with pytest.raises(AttributeError):
        checkpoint.save(tmp_path, state(20), broken)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    read_checkpoint(path)


def test_saving_what_is_there_changes_nothing(tmp_path: Path) -> None:
    first = checkpoint.save(tmp_path, state(7), groups(1))
    written = (first / "state.json").stat().st_mtime_ns
    assert checkpoint.save(tmp_path, state(7), groups(1)) == first
    assert (first / "state.json").stat().st_mtime_ns == written


def test_others_may_read_it(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, state(7), groups(1))
    assert path.stat().st_mode == path.parent.stat().st_mode


def test_the_state_is_plain_json(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, state(10, (0.5,)), groups(1))
    content = json.loads((path / "state.json").read_text())
    assert content["progress"]["history"][0]["top1"] == 0.5
    assert set(content["files"]) == {"parameters.params", "optimizer.params"}


def test_a_checkpoint_that_is_there_has_reached_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files before it has its name, and the name before anything older may be deleted."""
    order: list[str] = []
    flush, rename = files.flush_to_disk, Path.rename

    def flushed(path: Path) -> None:
        order.append(f"flush {path.name}")
        flush(path)

    def renamed(self: Path, target: Path) -> Path:
        order.append(f"rename to {target.name}")
        return rename(self, target)

    monkeypatch.setattr(files, "flush_to_disk", flushed)
    monkeypatch.setattr(Path, "rename", renamed)
    path = checkpoint.save(tmp_path, state(7), groups(1))
    assert order[-2:] == [f"rename to {path.name}", "flush checkpoints"]
    assert (
        sum(line.startswith("flush .") for line in order[:-2]) >= 3
    )  # parameters, optimizer, state


def test_a_deletion_that_is_cut_short_leaves_nothing_of_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = save_epochs(tmp_path, (0.1, 0.5))

    def cut_short(folder: Path) -> None:
        (folder / "state.json").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", cut_short)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.prune(tmp_path, 1, None)
    assert names(tmp_path) == [second.name]
    assert not first.exists()
    checkpoint.clear_after(tmp_path, read_checkpoint(second), pytest.fail)
    assert [path.name for path in second.parent.iterdir()] == [second.name]


def rewrite(path: Path, **changes: object) -> None:
    """Writes other values into a checkpoint's state, with a digest that matches."""
    content = json.loads((path / "state.json").read_text())
    del content["sha256"]
    content.update(changes)
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    (path / "state.json").write_text(json.dumps({**content, "sha256": digest}))


_NO_FILES = ("../a.params", "a/b.params", "..", "", "a\0.params", "\ud800")


@pytest.mark.parametrize(
    "changes",
    [
        {"files": {"/dev/zero": "0", "parameters.params": "0"}},
        {"files": {"optimizer.params": "0"}},
        *({"files": {name: "0", "parameters.params": "0"}} for name in _NO_FILES),
        {"files": []},
        {"weights": 3},
        {"data": {"train": 1}},
        {"package_version": "1\n2" * 100, "config": None},
        {"progress": {"step": 1 << 63, "epoch_metrics": [], "history": [], "num_rollbacks": 0}},
        {"progress": {"step": 10, "epoch_metrics": [1, "2"], "history": [], "num_rollbacks": 0}},
        {"progress": {"step": 10, "epoch_metrics": [], "history": [], "num_rollbacks": None}},
    ],
)
def test_an_intact_state_that_says_something_else(changes: dict[str, Any], tmp_path: Path) -> None:
    """No file of another place is read, and nothing is taken that is of another type."""
    (path,) = save_epochs(tmp_path, (0.5,))
    rewrite(path, **changes)
    with pytest.raises(WeightsError, match=r"cannot read: use that version or a newer one") as told:
        read_checkpoint(path)
    assert "\n" not in str(told.value)


def test_an_epoch_that_no_state_tells_of(tmp_path: Path) -> None:
    (path,) = save_epochs(tmp_path, (0.5,))
    progress = json.loads((path / "state.json").read_text())["progress"]
    rewrite(path, progress={**progress, "history": []})
    with pytest.raises(WeightsError, match="tells nothing of the epoch that it is named by"):
        best_weights(tmp_path)
