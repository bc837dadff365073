"""The system's shared libraries: all that are missing are told at once, by name and package."""

from __future__ import annotations

import subprocess
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

import pytest

from mobilenet.compat import native_libraries
from mobilenet.compat.native_libraries import MissingLibraries, require

SCRIPT = Path(native_libraries.__file__)
OF_MXNET = {"libgomp.so.1", "libquadmath.so.0"}
OF_OPENCV = {"libGL.so.1", "libgthread-2.0.so.0"}


def lacking(monkeypatch: pytest.MonkeyPatch, names: set[str], builds: list[str]) -> str:
    """The sentence on a system that lacks libraries, with these builds of OpenCV installed."""
    monkeypatch.setattr(native_libraries, "_can_be_loaded", lambda name: name not in names)
    monkeypatch.setattr(native_libraries, "_opencv_builds", lambda: builds)
    with pytest.raises(MissingLibraries) as caught:
        require("x86_64")
    return str(caught.value)


def test_this_system_has_them() -> None:
    require()
    done = subprocess.run([sys.executable, "-I", SCRIPT], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_all_that_are_missing_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lacking(monkeypatch, OF_MXNET, []) == (
        "this system lacks libgomp.so.1, libquadmath.so.0; install what has them:"
        " `apt-get install libgomp1 libquadmath0` on Debian and Ubuntu,"
        " `dnf install libgomp libquadmath` on Fedora"
    )


def test_opencv_with_windows_needs_more(monkeypatch: pytest.MonkeyPatch) -> None:
    told = lacking(monkeypatch, OF_MXNET | OF_OPENCV, ["opencv_python.libs"])
    assert "libgomp.so.1, libquadmath.so.0, libGL.so.1, libgthread-2.0.so.0;" in told
    assert "`apt-get install libgomp1 libquadmath0 libgl1 libglib2.0-0`" in told
    assert "opencv-python-headless in the place of opencv-python" in told


@pytest.mark.parametrize(
    "builds",
    [
        ["opencv_python_headless.libs"],
        ["opencv_python.libs", "opencv_python_headless.libs"],  # which is loaded is unknown
        [],  # of the system's own package manager
    ],
)
def test_opencv_without_windows_does_not(
    builds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native_libraries, "_can_be_loaded", lambda name: name not in OF_OPENCV)
    monkeypatch.setattr(native_libraries, "_opencv_builds", lambda: builds)
    require("x86_64")


def test_another_processor_has_no_numbers_of_128_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_libraries, "_can_be_loaded", lambda name: "quadmath" not in name)
    monkeypatch.setattr(native_libraries, "_opencv_builds", list)
    require("aarch64")


def test_the_build_of_opencv_is_seen_where_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = ModuleSpec("cv2", None, origin=str(tmp_path / "cv2" / "__init__.py"))
    monkeypatch.setattr(PathFinder, "find_spec", lambda *_: spec)
    assert native_libraries._opencv_builds() == []
    (tmp_path / "opencv_python_headless.libs").mkdir()
    assert native_libraries._opencv_builds() == ["opencv_python_headless.libs"]
    monkeypatch.setattr(PathFinder, "find_spec", lambda *_: None)
    assert native_libraries._opencv_builds() == []


def test_a_library_is_loaded_or_missing() -> None:
    assert native_libraries._can_be_loaded("libc.so.6")
    assert not native_libraries._can_be_loaded("libnone.so.1")
