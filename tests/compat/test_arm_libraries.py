"""What stands in for Arm's libraries is found, linked beside MXNet, and loaded by its new name."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest
from told import assert_told

from mobilenet.compat import arm_libraries
from mobilenet.compat.native_libraries import MissingLibraries

# Names that no process has loaded, and libraries that every system has.
EVERYWHERE = {"libstand-in-blas.so": "libc.so.6", "libstand-in-math.so": "libm.so.6"}


@pytest.fixture
def mxnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is found as the installed MXNet."""
    folder = tmp_path / "mxnet"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise AssertionError('nothing may import it')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(arm_libraries, "SUBSTITUTES", EVERYWHERE)
    return folder


def test_what_mxnet_asks_for_is_a_link_to_what_the_system_has(mxnet: Path) -> None:
    arm_libraries.link_substitutes()
    assert {path.name for path in mxnet.iterdir()} == {"__init__.py", *EVERYWHERE}
    mathematics = ctypes.CDLL(str(mxnet / "libstand-in-math.so"))
    mathematics.cos.restype, mathematics.cos.argtypes = ctypes.c_double, (ctypes.c_double,)
    assert mathematics.cos(0.0) == 1.0


def test_links_that_are_there_stay_and_one_that_leads_nowhere_is_made_anew(mxnet: Path) -> None:
    own, stale = mxnet / "libstand-in-blas.so", mxnet / "libstand-in-math.so"
    own.write_bytes(b"the user's")
    stale.symlink_to(mxnet / "removed.so")
    arm_libraries.link_substitutes()
    assert own.read_bytes() == b"the user's"
    assert stale.resolve().name.startswith("libm")


def test_what_the_system_lacks_is_left_to_the_sentence_about_missing_libraries(
    mxnet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arm_libraries, "SUBSTITUTES", {"libstand-in-blas.so": "libnowhere.so.7"})
    arm_libraries.link_substitutes()
    assert not (mxnet / "libstand-in-blas.so").is_symlink()


def test_a_library_of_arm_that_the_loader_finds_is_used(
    mxnet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arm_libraries, "SUBSTITUTES", {"libm.so.6": "libc.so.6"})
    arm_libraries.link_substitutes()
    assert not (mxnet / "libm.so.6").exists()


def test_a_folder_that_takes_no_links_is_told(mxnet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm_libraries, "SUBSTITUTES", {"missing/libstand-in-math.so": "libm.so.6"})
    with pytest.raises(MissingLibraries) as error:
        arm_libraries.link_substitutes()
    assert_told(str(error.value), "on Arm, an MXNet whose folder takes no links")


def test_without_mxnet_there_is_nothing_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    arm_libraries.link_substitutes()
