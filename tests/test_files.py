"""Files appear whole or not at all."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mobilenet import files


def test_content_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    files.write_text(path, "one")
    files.write_text(path, "zwei ä")
    assert path.read_bytes() == "zwei ä".encode()
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_an_exception_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")

    def write_half() -> None:
        with files.open_replaced(path) as file:
            file.write(b"half")
            raise RuntimeError("stopped in the middle")

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.bin"]


def test_a_killed_writer_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    program = f"""
import os, pathlib, signal
from mobilenet import files
with files.open_replaced(pathlib.Path({str(path)!r})) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", program], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2
    files.write_bytes(path, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["file.bin"]


def test_what_another_process_is_writing_is_no_leftover(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    (tmp_path / ".file.bin.abcdefgh.txt").write_bytes(b"of the user's")
    with files.open_replaced(path) as other:
        other.write(b"other")
        files.write_bytes(path, b"ours")
        assert path.read_bytes() == b"ours"
    assert path.read_bytes() == b"other"
    assert {p.name for p in tmp_path.iterdir()} == {"file.bin", ".file.bin.abcdefgh.txt"}


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    ordinary.write_text("")
    files.write_bytes(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == ordinary.stat().st_mode


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256_of(tmp_path / "abc") == expected


def _folder_of_one_file(content: str) -> str:
    return f"""
import os, pathlib, signal, sys
from mobilenet import files

kills = int(sys.argv[2])
renames = 0
rename = pathlib.Path.rename

def counted(self, target):
    global renames
    renames += 1
    if renames == kills:
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)

pathlib.Path.rename = counted
with files.replaced_folder(pathlib.Path(sys.argv[1])) as new:
    (new / "file").write_text({content!r})
    if kills == 0:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("kills", [0, 1, 2])
def test_a_killed_writer_of_a_folder_loses_nothing_for_the_next_one(
    tmp_path: Path, kills: int
) -> None:
    folder = tmp_path / "page.old"
    folder.mkdir()
    (folder / "file").write_text("old")
    program = _folder_of_one_file("new")
    killed = subprocess.run([sys.executable, "-c", program, str(folder), str(kills)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert folder.exists() == (kills < 2)

    def fail() -> None:
        with files.replaced_folder(folder):
            raise RuntimeError("stopped in the middle")

    with pytest.raises(RuntimeError):
        fail()
    assert (folder / "file").read_text() == "old"
    assert list(tmp_path.iterdir()) == [folder]
    with files.replaced_folder(folder) as new:
        (new / "file").write_text("new")
    assert (folder / "file").read_text() == "new"
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_that_is_being_written_and_one_of_others_are_no_leftovers(tmp_path: Path) -> None:
    folder = tmp_path / "page"
    others = tmp_path / ".page.abcdefgh"
    others.mkdir()
    (others / "precious").touch()
    with files.replaced_folder(folder) as first:
        with files.replaced_folder(folder):
            pass
        assert first.exists()
    assert sorted(tmp_path.iterdir()) == [others, folder]
    assert (others / "precious").exists()
