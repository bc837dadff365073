"""The folder of records: whole or not at all, and never another's."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import mini_imagenet as mini
import numpy as np
import pytest
from preparing import contents, run

from mobilenet.data.record_file import RecordFile
from mobilenet.errors import DataError


def test_a_second_run_does_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = mini.split_folders(tmp_path / "source")
    first = run(source, tmp_path / "output", workers=1)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "output").iterdir()}
    capsys.readouterr()
    assert run(source, tmp_path / "output", workers=2) == first
    assert "already prepared" in capsys.readouterr().err
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "output").iterdir()}


def test_names_that_are_no_text(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    first = run(mini.split_folders(folder / "source"), folder / "output")
    assert first.source["paths"] == [str(folder / "source")]
    assert run(folder / "source", folder / "output") == first


def test_a_second_run_with_other_options_is_refused(tmp_path: Path) -> None:
    source = mini.split_folders(tmp_path / "source")
    run(source, tmp_path / "output")
    before = contents(tmp_path / "output")
    with pytest.raises(DataError, match="other options: seed is 0 there and 1 now"):
        run(source, tmp_path / "output", seed=1)
    other = mini.split_folders(tmp_path / "other")
    with pytest.raises(DataError, match=r"another source: paths is .*source"):
        run(other, tmp_path / "output")
    (source / "train" / mini.CLASSES[0][1] / "more.JPEG").write_bytes(mini.jpeg(9))
    with pytest.raises(DataError, match="another source: fingerprint"):
        run(source, tmp_path / "output")
    assert contents(tmp_path / "output") == before


def test_a_changed_synset_is_another_source(tmp_path: Path) -> None:
    source = mini.write_files(
        tmp_path / "source", {"a/1.jpg": mini.jpeg(1), "b/1.jpg": mini.jpeg(2)}
    )
    synset = tmp_path / "synset.txt"
    synset.write_text("a\nb\n")
    run(source, tmp_path / "output", synset=synset)
    synset.write_text("b\na\n")
    with pytest.raises(DataError, match="another source: fingerprint"):
        run(source, tmp_path / "output", synset=synset)


def test_the_output_may_lie_within_the_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = mini.split_folders(tmp_path / "source")
    assert run(source, source / "records").ignored == ["records/"]
    run(source, source / "records")
    assert "already prepared" in capsys.readouterr().err
    with pytest.raises(DataError, match="is the source itself"):
        run(source, source / "val" / "..")


def test_records_of_others_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "train.rec").write_bytes(b"precious")
    with pytest.raises(DataError, match=r"has a train\.rec of other making"):
        run(mini.split_folders(tmp_path / "source"), tmp_path / "output")
    assert contents(tmp_path / "output") == {"train.rec": b"precious"}


@pytest.mark.parametrize("name", ["val.rec", "val.idx", "synset.txt"])
def test_a_missing_file_is_noticed(name: str, tmp_path: Path) -> None:
    source, output = mini.split_folders(tmp_path / "source"), tmp_path / "output"
    run(source, output)
    (output / name).unlink()
    with pytest.raises(DataError, match=f"{name} is missing; remove the folder to prepare it anew"):
        run(source, output)
    shutil.rmtree(output)
    run(source, output)


def test_records_that_were_cut_short_are_noticed(tmp_path: Path) -> None:
    source, output = mini.split_folders(tmp_path / "source"), tmp_path / "output"
    run(source, output)
    with (output / "val.rec").open("r+b") as file:
        size = file.seek(0, 2)
        file.truncate(size - 4)
    with pytest.raises(DataError, match=rf"val\.rec has {size - 4} bytes of {size}; remove the"):
        run(source, output)


@pytest.mark.parametrize("field", ["source", "options"])
def test_a_manifest_without_contents_is_none(field: str, tmp_path: Path) -> None:
    source, output = mini.split_folders(tmp_path / "source"), tmp_path / "output"
    run(source, output)
    manifest = output / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), field: None}))
    with pytest.raises(DataError, match=r"manifest\.json: is not a manifest that prepare wrote"):
        run(source, output)


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="file/output: cannot be written: Not a directory"):
        run(mini.split_folders(tmp_path / "source"), tmp_path / "file" / "output")


def test_a_full_disk_is_noticed_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only stand-in here: a file system of that size is not to be had in a test."""
    usage = shutil.disk_usage(tmp_path)._replace(free=5000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    for kind, build in {"folder": mini.split_folders, "tars": mini.official_tars}.items():
        source = build(tmp_path / kind)
        # Before the sums too: those of all of ILSVRC2012 take a quarter of an hour.
        options = {"checksum": kind == "tars"}
        with pytest.raises(DataError, match=r"need about 0\.0 GB, and 0\.0 GB are free"):
            run(source, tmp_path / "output", **options)
    assert contents(tmp_path / "output") == {}


def test_space_for_smaller_images_is_estimated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = {f"c/{i}.jpg": mini.jpeg(7, i, size=(400, 300)) for i in range(100)}
    source = mini.write_files(tmp_path / "source", images)
    whole = sum(map(len, images.values()))
    usage = shutil.disk_usage(tmp_path)._replace(free=whole // 2)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match="are free"):
        run(source, tmp_path / "output")
    assert run(source, tmp_path / "output", short_side=100).splits["train"].bytes < whole // 2
    usage = usage._replace(free=whole // 100)
    with pytest.raises(DataError, match="are free"):
        run(source, tmp_path / "another", short_side=100)


def test_room_to_unpack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"unpacking .* needs more than"):
        run(mini.tar(tmp_path / "source", mode="w:gz"), tmp_path / "output")
    assert contents(tmp_path / "output") == {}


def test_a_disk_that_gets_full_leaves_nothing(tmp_path: Path) -> None:
    images = {f"c/{i}.jpg": mini.jpeg(7, i) for i in range(20)}
    source = mini.write_files(tmp_path / "source", images)
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "from mobilenet.cli import main\n"
        f"sys.exit(main(['prepare', '--source', {str(source)!r}, '--output', 'output']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "cannot be written: File too large" in done.stderr
    assert contents(tmp_path / "output") == {}


def test_another_process_is_preparing(tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    descriptor = os.open(tmp_path / "output", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(DataError, match="another process is preparing"):
        run(mini.split_folders(tmp_path / "source"), tmp_path / "output")
    os.close(descriptor)
    run(mini.split_folders(tmp_path / "source"), tmp_path / "output")


def start(source: Path, output: Path) -> subprocess.Popen[bytes]:
    """Prepares in a process of its own, and waits until it is in the midst of it."""
    command = [sys.executable, "-m", "mobilenet", "prepare", "--source", source, "--output", output]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE)
    limit = time.monotonic() + 60
    while not any(path.stat().st_size for path in output.glob(".train.rec.*")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < limit
        time.sleep(0.01)
    return process


@pytest.fixture
def large_source(tmp_path: Path) -> Path:
    """Takes seconds to pack."""
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), dtype=np.uint8)
    image = cv2.imencode(".jpg", noise)[1].tobytes()
    first = mini.write_files(tmp_path / "large", {"c/0.jpg": image})
    for number in range(1, 400):
        os.link(first / "c/0.jpg", first / f"c/{number}.jpg")
    return first


def test_killed_in_the_midst(
    large_source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "output"
    process = start(large_source, output)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    left = contents(output)
    assert left
    assert all(name.startswith(".") for name in left)
    run(mini.split_folders(tmp_path / "source"), output)
    assert "removed what an interrupted run had left" in capsys.readouterr().err
    assert not any(name.startswith(".") for name in contents(output))
    assert len(RecordFile(output / "train.rec")) == 18


def test_interrupted_in_the_midst(large_source: Path, tmp_path: Path) -> None:
    process = start(large_source, tmp_path / "output")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in said
    assert contents(tmp_path / "output") == {}


def test_killed_twice_at_any_operation_on_a_file(tmp_path: Path) -> None:
    source = mini.write_files(tmp_path / "source", {f"{c}/1.jpg": mini.jpeg(1) for c in "ab"})
    script = Path(__file__).parent.parent / "helpers" / "killed_prepare.py"
    done = subprocess.run(
        [sys.executable, script, source, tmp_path / "output"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 30


def test_what_was_unpacked_is_removed_after_a_kill_at_the_very_end(tmp_path: Path) -> None:
    source, output = mini.split_folders(tmp_path / "source"), tmp_path / "output"
    run(source, output)
    before = contents(output)
    (output / ".source.tar").write_bytes(b"150 GB")
    (output / ".unfinished").write_bytes(b"")
    run(source, output)
    assert contents(output) == before
