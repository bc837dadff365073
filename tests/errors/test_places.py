"""Folders that are moved, read-only, filled by Windows, or used twice; names of any script."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from told import assert_told, without_privileges

from mobilenet import cli
from mobilenet.data.synset import read_synset
from mobilenet.runs.run_folder import CONFIG


@pytest.fixture
def copy(job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the job to spoil; the current folder."""
    folder = tmp_path / "anders wo é"
    shutil.copytree(job, folder)
    monkeypatch.chdir(folder)
    return folder


def test_the_whole_job_in_folders_of_any_name(
    job: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(job)
    assert cli.main(["validate", "der Lauf", "--json", "ä ö/Ergebnis.json"]) == 0
    assert json.loads(Path("ä ö/Ergebnis.json").read_text(encoding="utf-8"))["num_images"] == 20
    assert cli.main(["validate", "Netz ü 日.onnx", "--data", "die Bilder/val"]) == 0
    assert cli.main(["predict", "Netz ü 日.onnx", "die Bilder/val/blå kors", "--csv"]) == 0
    assert "die Bilder/val/blå kors/00000.jpg" in capsys.readouterr().out


def test_a_run_goes_on_elsewhere(copy: Path, job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in job.rglob("*")}
    Path("der Lauf").rename("umgezogen")
    Path("Aufnahmen ü").rename("records")
    call = ["mein Lauf.yaml", "data.directory=records", "training.epochs=2", "--run", "umgezogen"]
    assert cli.main(["train", *call, "--resume"]) == 0
    assert "from step 5 of 10" in capsys.readouterr().err
    written = Path("umgezogen", CONFIG).read_text(encoding="utf-8")
    assert f"directory: {copy}/records" in written
    assert cli.main(["validate", "umgezogen"]) == 0
    assert before == {path: path.stat().st_mtime_ns for path in job.rglob("*")}


def test_moved_and_missing_records(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "mein Lauf.yaml", "data.directory=none", "--run", "new"]) == 2
    assert_told(capsys.readouterr().err, "no records")
    assert not Path("new").exists()
    assert cli.main(["validate", "der Lauf", "--data", "none"]) == 2
    assert_told(capsys.readouterr().err, "records were moved")
    Path("Aufnahmen ü", "val.idx").unlink()
    assert cli.main(["validate", "Netz ü 日.onnx", "--data", "Aufnahmen ü"]) == 2
    assert_told(capsys.readouterr().err, "no index")


def test_images_that_cannot_be_decoded_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as where it is not installed
    Path("photos", "cat").mkdir(parents=True)
    Path("photos", "cat", "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50))
    assert cli.main(["prepare", "--source", "photos", "--output", "records"]) == 2
    assert_told(capsys.readouterr().err, "an image in HEIC")
    Path("photos", "cat", "a.heic").write_bytes(b"P6 20000 20000 255\n" + bytes(50))
    assert cli.main(["prepare", "--source", "photos", "--output", "records"]) == 2
    assert_told(capsys.readouterr().err, "an image of too many pixels")


def test_everything_twice(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare = ["prepare", "--source", "die Bilder", "--output", "Aufnahmen ü"]
    # The folder was copied, so the images are others' by their path.
    assert cli.main(prepare) == 2
    assert_told(capsys.readouterr().err, "records of another source")
    train = ["train", "mein Lauf.yaml", "--run", "der Lauf"]
    assert cli.main(train) == 2
    assert_told(capsys.readouterr().err, "the same run twice")
    assert cli.main([*train, "--resume", "model.width_multiplier=0.2"]) == 2
    assert_told(capsys.readouterr().err, "resuming with other settings")
    assert cli.main(["train", "mein Lauf.yaml", "--run", "none", "--resume"]) == 2
    assert_told(capsys.readouterr().err, "resuming nothing")
    assert cli.main(["export", "der Lauf", "--output", "Netz ü 日.onnx"]) == 0  # replaces its file


def test_records_from_windows(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = copy / "Aufnahmen ü"
    names = read_synset(folder)
    for name in ("synset.txt", "val.idx"):
        content = (folder / name).read_bytes().replace(b"\n", b"\r\n")
        (folder / name).write_bytes(b"\xef\xbb\xbf" * (name == "synset.txt") + content)
    assert read_synset(folder) == names
    assert cli.main(["validate", "Netz ü 日.onnx", "--data", "Aufnahmen ü"]) == 0
    assert " of 20;" in capsys.readouterr().out
    assert cli.main(["verify", "Aufnahmen ü"]) == 1
    assert_told(capsys.readouterr().out.splitlines()[0], "synset.txt edited after packing")
    (copy / "windows.lst").write_bytes(b"0\t0\ttrain\\blue-star\\00000.jpg\r\n")
    call = ["--source", "windows.lst", "--root", "die Bilder", "--synset", "one.txt"]
    (copy / "one.txt").write_bytes(b"\xef\xbb\xbfblue-star\r\n")
    assert cli.main(["prepare", *call, "--output", "from list"]) == 0
    assert (copy / "from list" / "synset.txt").read_text() == "blue-star\n"


def test_read_only_folders(copy: Path) -> None:
    folder = copy / "closed"
    folder.mkdir()
    folder.chmod(0o555)
    calls = {
        ("prepare", "--source", "die Bilder", "--output", "closed"): (
            "records into a read-only folder"
        ),
        ("train", "mein Lauf.yaml", "--run", "closed/run"): "a folder that is read-only",
        ("validate", "der Lauf", "--json", "closed/r.json"): "a result into a read-only folder",
        ("export", "der Lauf", "--output", "closed/m.onnx"): "a result into a read-only folder",
    }
    for call, situation in calls.items():
        done = without_privileges(copy, *call)
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        assert "closed" in done.stderr
        assert "/.m" not in done.stderr  # no temporary names
        assert_told(done.stderr, situation)
    assert not list(folder.iterdir())


def test_records_in_a_read_only_folder_are_enough(copy: Path) -> None:
    for path in (copy / "Aufnahmen ü").iterdir():
        path.chmod(0o444)
    (copy / "Aufnahmen ü").chmod(0o555)
    done = without_privileges(copy, "validate", "Netz ü 日.onnx", "--data", "Aufnahmen ü")
    assert done.returncode == 0, done.stderr
