"""Who may begin, continue or change a run."""

from __future__ import annotations

import dataclasses
import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mobilenet import files, settings
from mobilenet.data import record_folder
from mobilenet.data.manifest import Manifest, Split
from mobilenet.data.record_file import RecordWriter
from mobilenet.data.record_folder import record_digests
from mobilenet.errors import ConfigError, DataError, UserError, VerificationError
from mobilenet.runs import run_folder
from mobilenet.settings.schema import Config, ScheduleConfig


def changed(name: str, value: Any, config: Config = Config()) -> Config:  # noqa: B008
    section, key = name.split(".")
    part = dataclasses.replace(getattr(config, section), **{key: value})
    return dataclasses.replace(config, **{section: part})


def test_a_new_run_wants_a_new_folder(tmp_path: Path) -> None:
    run_folder.check(tmp_path / "new", resume=False)
    run_folder.check(tmp_path, resume=False)  # empty
    (tmp_path / ".lock").touch()
    (tmp_path / f".{run_folder.CONFIG}.x7.yaml").touch()  # a kill came before its final name
    run_folder.check(tmp_path, resume=False)
    (tmp_path / "log.jsonl").touch()
    with pytest.raises(UserError, match=r"exists already; continue the run with --resume"):
        run_folder.check(tmp_path, resume=False)
    with pytest.raises(UserError, match="exists already"):
        run_folder.check(tmp_path / "log.jsonl", resume=False)


def test_the_run_of_a_checkpoint_is_two_folders_above(tmp_path: Path) -> None:
    run_folder.describe(tmp_path, Config())
    checkpoint = tmp_path / "checkpoints" / "step-00000001"
    (checkpoint / "inner").mkdir(parents=True)
    assert run_folder.run_of(tmp_path) == tmp_path
    assert run_folder.run_of(checkpoint) == tmp_path
    assert run_folder.run_of(checkpoint / "inner") is None


def test_what_was_never_begun_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no run to resume"):
        run_folder.check(tmp_path / "new", resume=True)
    run_folder.describe(tmp_path, Config())
    run_folder.check(tmp_path, resume=True)


CLAIM = """
import sys, time
from pathlib import Path
from mobilenet.runs import run_folder
with run_folder.claimed(Path(sys.argv[1])):
    print("claimed", flush=True)
    time.sleep(60)
"""


def test_only_one_process_may_train_in_a_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CLAIM, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "claimed\n"
        with pytest.raises(UserError, match="another process is training"):  # noqa: SIM117
            with run_folder.claimed(tmp_path):
                pass
        child.kill()
    with run_folder.claimed(tmp_path):
        pass  # the claim of a killed process is gone
    run_folder.check(tmp_path, resume=False)  # and has left nothing that is in the way


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("checkpoint.keep_last", 5),
        ("checkpoint.every_steps", 100),
        ("log.every_steps", 1),
        ("data.directory", "/elsewhere"),
        ("data.num_workers", 3),
        ("validation.batch_size", 7),
        ("training.patience", 3),
        ("training.rollbacks", 3),
    ],
)
def test_changes_without_effect_are_free(name: str, value: Any) -> None:
    assert run_folder.check_changes(Config(), changed(name, value), Path("run")) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model.width_multiplier", 0.5),
        ("data.resolution", 192),
        ("augmentation.flip", 0.0),
        ("validation.short_side", 300),
        ("optimizer.momentum", 0.8),
        ("schedule.learning_rate", 0.1),
        ("training.seed", 1),
        ("training.batch_size", 512),
        ("training.ema_decay", 0.999),
    ],
)
def test_changes_that_make_another_run_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^run: the run began with {name} = .* {value}"):
        run_folder.check_changes(Config(), changed(name, value), Path("run"))


@pytest.mark.parametrize(
    ("schedule", "changes"),
    [
        ("constant", []),
        ("exponential", []),
        ("step", []),
        ("cosine", ["training.epochs: 150 -> 300"]),
        ("polynomial", ["training.epochs: 150 -> 300"]),
    ],
)
def test_a_run_may_be_prolonged_which_some_schedules_notice(
    schedule: str, changes: list[str]
) -> None:
    milestones = (50.0,) if schedule == "step" else ()
    shape = ScheduleConfig(name=schedule, milestones=milestones)  # type: ignore[arg-type]
    began = dataclasses.replace(Config(), schedule=shape)
    longer = changed("training.epochs", 300, began)
    assert run_folder.check_changes(began, longer, Path("run")) == changes


def test_a_lost_device_is_no_obstacle_but_is_named() -> None:
    began = changed("training.devices", ("gpu(0)", "gpu(1)"))
    resumed = changed("training.devices", ("gpu(0)",))
    (change,) = run_folder.check_changes(began, resumed, Path("run"))
    assert change == "training.devices: ('gpu(0)', 'gpu(1)') -> ('gpu(0)',)"


def test_every_setting_is_compared() -> None:
    names = {f"{s.name}.{f.name}" for s in dataclasses.fields(Config) for f in section(s.name)}
    assert set(run_folder.flat(Config())) == names


def section(name: str) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(getattr(Config(), name))


def test_records_are_told_apart(tmp_path: Path) -> None:
    rec = tmp_path / "train.rec"
    rec.write_bytes(b"12345678")
    rec.with_suffix(".idx").write_text("0\t0\n1\t4\n")
    first = record_digests(rec)
    rec.with_suffix(".idx").write_text("0\t0\n1\t3\n")
    second = record_digests(rec)
    rec.write_bytes(b"1234567890")
    third = record_digests(rec)
    assert len({digests["index"] for digests in (first, second, third)}) == 3
    run_folder.check_data({"train": first}, {"train": first}, tmp_path)
    with pytest.raises(DataError, match=r"train.rec is not the file that the run began with"):
        run_folder.check_data({"train": first}, {"train": second}, tmp_path)
    with pytest.raises(DataError, match=r"minival.rec was not there when the run began"):
        run_folder.check_data({"train": first}, {"train": first, "minival": second}, tmp_path)
    with pytest.raises(DataError, match=r"minival.rec is no longer there"):
        run_folder.check_data({"train": first, "minival": second}, {"train": first}, tmp_path)
    with pytest.raises(DataError, match=r"train.rec is not the file that the run began with"):
        run_folder.check_data(
            {"train": {**first, "new": "1"}}, {"train": {**first, "new": "2"}}, tmp_path
        )


def test_records_of_the_same_sizes_are_told_apart_by_their_manifests(tmp_path: Path) -> None:
    rec, manifest = tmp_path / "train.rec", tmp_path / "manifest.json"
    rec.write_bytes(b"12345678")
    rec.with_suffix(".idx").write_text("0\t0\n1\t4\n")
    without = record_digests(rec)
    for damaged in ("", "[]", "{}", '{"splits": {"train": 1}}'):
        manifest.write_text(damaged)
        assert record_digests(rec) == without
    first, second = ({**without, "content": sha256} for sha256 in ("ab", "cd"))
    for digests in (first, second):
        split = Split("train.rec", "train.idx", 2, 1, 2, 2, 8, digests["content"])
        made = Manifest("", {}, {}, {"train": split}, "", 1, "", {}, [], [])
        manifest.write_text(made.to_json())
        assert record_digests(rec) == digests
    with pytest.raises(DataError, match=r"train.rec is not the file that the run began with"):
        run_folder.check_data({"train": first}, {"train": second}, tmp_path)
    for digest in (first, second):  # a run that began before there was one goes on, and without it
        run_folder.check_data({"train": without}, {"train": digest}, tmp_path)
        run_folder.check_data({"train": digest}, {"train": without}, tmp_path)


def test_a_full_disk_is_one_sentence_and_other_errors_are_themselves(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=r"No space left .* make room and continue"):  # noqa: SIM117
        with run_folder.full_disk_explained(tmp_path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(PermissionError):  # noqa: SIM117
        with run_folder.full_disk_explained(tmp_path):
            raise PermissionError(errno.EACCES, "no")


def test_the_version_of_mxnet_for_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_folder.versions()["mxnet"] == "1.9.1"
    installed = tmp_path / "mxnet_cu112-1.9.1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: mxnet-cu112\nVersion: 1.9.1\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run_folder.versions()["mxnet-cu112"] == "1.9.1"


def test_the_description_reads_back(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "synset.txt").write_text("n01 fish\n")
    config = changed("data.directory", str(data))
    run_folder.describe(tmp_path / "run", config)
    assert settings.load(Config, tmp_path / "run" / run_folder.CONFIG) == config
    assert (tmp_path / "run" / run_folder.SYNSET).read_text() == "n01 fish\n"


@pytest.mark.parametrize("is_small", [True, False])
def test_labels_and_images_of_the_same_size_are_told_apart(
    is_small: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a large file a part of the records is looked at."""
    if not is_small:
        monkeypatch.setattr(record_folder, "_SMALL_FILE_BYTES", 0)
        monkeypatch.setattr(record_folder, "_NUM_SAMPLES", 10)
    rec, found = tmp_path / "train.rec", []
    records = [(label, b"image%3d" % label) for label in range(100)]
    other_labels = [(3, image) for _, image in records]
    other_images = [(label, image[::-1]) for label, image in records]
    for content in (records, other_labels, other_images, records):
        with RecordWriter(rec, rec.with_suffix(".idx")) as writer:
            for key, (label, image) in enumerate(content):
                writer.write(key, label, image)
        found.append(record_digests(rec))
    assert len({digests["index"] for digests in found}) == 1
    first, labels, images, again = found
    run_folder.check_data({"train": first}, {"train": again}, tmp_path)
    for digests in (labels, images):
        with pytest.raises(DataError, match=r"train.rec is not the file that the run began with"):
            run_folder.check_data({"train": first}, {"train": digests}, tmp_path)
    del first["records"]  # a run that began before there was this digest goes on
    run_folder.check_data({"train": first}, {"train": labels}, tmp_path)


def test_a_file_that_was_damaged_at_the_start_may_be_given_back(tmp_path: Path) -> None:
    rec = tmp_path / "train.rec"
    rec.with_suffix(".idx").write_text("0\t0\n1\t4\n")
    rec.write_bytes(b"12345678")
    split = Split("train.rec", "train.idx", 2, 1, 2, 2, 8, files.sha256_of(rec))
    made = Manifest("", {}, {}, {"train": split}, "", 1, "", {}, [], [])
    (tmp_path / "manifest.json").write_text(made.to_json())
    rec.write_bytes(b"1234\0\0\0\0")
    damaged = record_digests(rec)
    rec.write_bytes(b"12345678")
    run_folder.check_data({"train": damaged}, {"train": record_digests(rec)}, tmp_path)
    rec.write_bytes(b"12345679")
    with pytest.raises(DataError, match=r"train.rec is not the file that the run began with"):
        run_folder.check_data({"train": damaged}, {"train": record_digests(rec)}, tmp_path)


def test_the_last_record_of_a_large_file_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_folder, "_SMALL_FILE_BYTES", 0)
    rec, found = tmp_path / "train.rec", []
    for label in (0, 1):
        with RecordWriter(rec, rec.with_suffix(".idx")) as writer:
            for key in range(9):
                writer.write(key, label * (key == 8), b"image")
        found.append(record_digests(rec)["records"])
    assert found[0] != found[1]


def test_what_is_finished_is_no_leftover(tmp_path: Path) -> None:
    for name in ("manifest.json", "train.rec", "train.idx"):
        (tmp_path / name).write_bytes(b"")
    assert not record_folder.remove_leftovers(tmp_path)
    (tmp_path / ".unfinished").write_bytes(b"")  # killed between the manifest's name and this one
    assert not record_folder.remove_leftovers(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    (tmp_path / ".unfinished").write_bytes(b"")
    (tmp_path / "manifest.json").unlink()
    assert record_folder.remove_leftovers(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [0, 1, 2])
def test_only_images_that_are_turned_are_told(number: int, tmp_path: Path) -> None:
    oddities = {"EXIF rotation": number} if number else {}
    made = Manifest("", {}, {}, {}, "", 1, "", oddities, [], [], exif_orientation="apply")
    (tmp_path / "manifest.json").write_text(made.to_json())
    said = record_folder.orientation_warning(tmp_path, "ignore")
    assert said.count(f": {number} images") == bool(number)
    assert bool(said) == bool(number)
