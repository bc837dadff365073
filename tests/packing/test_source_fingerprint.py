"""What a second `prepare` sees of a source that has changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable

import mini_imagenet as mini
import pytest
from preparing import run

from mobilenet.errors import DataError
from mobilenet.packing import source_fingerprint

FORMS: dict[str, Callable[[Path], Any]] = {
    "folders": lambda folder: mini.split_folders(folder / "images"),
    "lists": mini.lists,
}


def same_size(path: Path, keep_time: bool = False) -> None:
    """Replaces the file by one of the same size."""
    times = path.stat()
    path.write_bytes(b"\xff" + path.read_bytes()[:-1])
    if keep_time:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("keep_time", [False, True])
def test_an_image_of_the_same_size(form: str, keep_time: bool, tmp_path: Path) -> None:
    source = FORMS[form](tmp_path / "source")
    run(source, tmp_path / "output")
    run(source, tmp_path / "output")
    image = next((tmp_path / "source" / "images" / "val").glob("*/*.JPEG"))
    same_size(image, keep_time)
    with pytest.raises(DataError, match="another source: fingerprint"):
        run(source, tmp_path / "output")


def test_a_tar_of_the_same_size(tmp_path: Path) -> None:
    path = mini.tar(tmp_path / "source")
    run(path, tmp_path / "output")
    run(path, tmp_path / "output")
    same_size(path, keep_time=True)
    with pytest.raises(DataError, match="another source: fingerprint"):
        run(path, tmp_path / "output")


def test_little_is_read_of_many_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a sample does not have is seen by its time, or not at all."""
    monkeypatch.setattr(source_fingerprint, "_NUM_SAMPLES", 1)
    folder = mini.split_folders(tmp_path / "source")
    paths = sorted(folder.glob("*/*/*.JPEG"))

    def digest() -> str:
        return source_fingerprint.fingerprint([folder], None, None, tmp_path / "output")

    before = digest()
    changed = []
    for path in paths:
        content, times = path.read_bytes(), path.stat()
        same_size(path, keep_time=True)
        changed.append(digest() != before)
        path.write_bytes(content)
        assert digest() != before
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert changed.count(True) == 1
    assert digest() == before
