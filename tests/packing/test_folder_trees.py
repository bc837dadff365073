"""Trees on the disk and in tars; what a hostile or broken archive can do is end in one sentence."""

from __future__ import annotations

import io
import os
import resource
import tarfile
from pathlib import Path
from typing import Any

import mini_imagenet as mini
import numpy as np
import pytest

from mobilenet.errors import DataError
from mobilenet.packing.folder_trees import (
    DiskFolder,
    file_at,
    printable,
    read_tar,
    read_tar_of_tars,
    walk,
)

FILES = {
    "a/1.jpg": b"one",
    "a/deep/er/2.jpg": b"",
    "b/3.jpg": bytes(range(256)) * 9,
    "top.txt": b"text",
    f"a/{'long' * 60}.jpg": b"long name",
    "b/\N{SNOWMAN} and spaces.jpg": b"snow",
}


def members(*described: dict[str, Any]) -> bytes:
    """A tar of members with the given fields."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for fields in described:
            member = tarfile.TarInfo()
            for name, value in fields.items():
                setattr(member, name, value)
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    return buffer.getvalue()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("prefix", ["", "./"])
def test_a_tar_is_the_tree_that_was_packed(kind: int, prefix: str, tmp_path: Path) -> None:
    folder = mini.write_files(tmp_path / "tree", FILES)
    with tarfile.open(tmp_path / "it.tar", "w", format=kind) as tar:
        for name in sorted(FILES):
            tar.add(folder / name, prefix + name)
    for tree in (DiskFolder(str(folder)), read_tar(tmp_path / "it.tar")):
        found = {name: file.read() for name, file in walk(tree) if file}
        assert found == FILES


def test_directories_without_files_are_seen(tmp_path: Path) -> None:
    tar = write(tmp_path / "it.tar", members({"name": "empty", "type": tarfile.DIRTYPE}))
    assert read_tar(tar).folders["empty"].files == {}
    (tmp_path / "empty").mkdir()
    assert DiskFolder(str(tmp_path)).folders["empty"].files == {}


def test_a_later_member_replaces_an_earlier_one(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for content in (b"old", b"newer"):
            member = tarfile.TarInfo("a/x.jpg")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    tree = read_tar(write(tmp_path / "it.tar", buffer.getvalue()))
    assert [file.read() for _, file in walk(tree) if file] == [b"newer"]


def test_hidden_entries_are_left_out(tmp_path: Path) -> None:
    contents = {"a/._1.jpg": b"?", ".git/x.jpg": b"?", "a/1.jpg": b"1", "__MACOSX/._y": b"?"}
    tar = read_tar(write(tmp_path / "it.tar", mini.tar_bytes(contents)))
    disk = DiskFolder(str(mini.write_files(tmp_path / "tree", contents)))
    assert [name for name, _ in walk(tar)] == [name for name, _ in walk(disk)] == ["a/1.jpg"]


def test_a_tar_of_tars(tmp_path: Path) -> None:
    inner = {
        "n01440764.tar": mini.tar_bytes({"x_1.JPEG": b"1"}),
        "n02123045.tar": mini.tar_bytes({}),
    }
    tree = read_tar_of_tars(write(tmp_path / "it.tar", mini.tar_bytes(inner)))
    assert [(name, file.read()) for name, file in walk(tree) if file] == [
        ("n01440764/x_1.JPEG", b"1")
    ]
    assert tree.folders.keys() == {"n01440764", "n02123045"}


def test_an_inner_tar_without_end_does_not_read_on_in_the_outer(tmp_path: Path) -> None:
    first = mini.tar_bytes({"x.JPEG": b"1"})[:1024]  # header and content, but no end
    inner = {"a.tar": first, "b.tar": mini.tar_bytes({"y.JPEG": b"2"})}
    with pytest.raises(DataError, match=r"it\.tar/a\.tar: is (cut off|damaged)"):
        read_tar_of_tars(write(tmp_path / "it.tar", mini.tar_bytes(inner)))


@pytest.mark.parametrize("name", ["../x.jpg", "a/../../x.jpg", "/etc/passwd", "a/.."])
def test_names_that_lead_outside(name: str, tmp_path: Path) -> None:
    tar = write(tmp_path / "it.tar", members({"name": name}))
    with pytest.raises(DataError, match="leads outside of the archive"):
        read_tar(tar)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_what_is_no_file_is_named_and_not_read(kind: bytes, tmp_path: Path) -> None:
    link = {"name": "a/x.jpg", "type": kind, "linkname": "/etc/passwd"}
    tree = read_tar(write(tmp_path / "it.tar", members(link)))
    assert list(walk(tree)) == [("a/x.jpg", None)]


def test_no_tar(tmp_path: Path) -> None:
    for number, content in enumerate((b"", b"hello", bytes(range(256)) * 40, b"\0" * 100)):
        with pytest.raises(DataError, match="is no tar, or is damaged"):
            read_tar(write(tmp_path / f"{number}.tar", content))
    with pytest.raises(DataError, match="No such file"):
        read_tar(tmp_path / "absent.tar")
    with pytest.raises(DataError, match="is no regular file"):
        read_tar(tmp_path)


def test_every_cut_of_a_tar_is_noticed(tmp_path: Path) -> None:
    """Also at the end of a member, where there is nothing wrong with what is left."""
    whole = mini.tar_bytes({f"a/{i}.jpg": bytes(300 * i) for i in range(4)})
    end = whole.rindex(b"a/3.jpg") + 512 + 1024  # behind the last member
    for size in [*range(1, end, 37), *range(512, end + 1, 512)]:
        with pytest.raises(DataError):
            read_tar(write(tmp_path / "it.tar", whole[:size]))
    assert len(list(walk(read_tar(write(tmp_path / "it.tar", whole[: end + 512]))))) == 4


def test_damage_of_a_header_is_noticed(tmp_path: Path) -> None:
    whole = mini.tar_bytes({f"a/{i}.jpg": b"x" for i in range(3)})
    damaged = bytearray(whole)
    damaged[1024 + 150] ^= 0xFF  # the checksum of the second member
    with pytest.raises(DataError, match="damaged or cut off at byte 1024"):
        read_tar(write(tmp_path / "it.tar", bytes(damaged)))


def test_negative_and_enormous_sizes(tmp_path: Path) -> None:
    for size in (-512, -1, 1 << 40):
        header = tarfile.TarInfo("a/x.jpg")
        header.size = size
        content = header.tobuf(tarfile.GNU_FORMAT) + bytes(4096)
        with pytest.raises(DataError, match=r"damaged|cut off"):
            read_tar(write(tmp_path / "it.tar", content))


def test_random_damage_ends_in_a_sentence(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    whole = mini.tar_bytes({f"a/{'n' * 30 * i}{i}.jpg": bytes(200) for i in range(6)})
    for _ in range(300):
        damaged = bytearray(whole)
        for position in rng.integers(len(whole), size=6):
            damaged[position] = rng.integers(256)
        try:
            for _, file in walk(read_tar(write(tmp_path / "it.tar", bytes(damaged)))):
                assert file is None or len(file.read()) == file.size
        except DataError:
            pass


def test_links_on_the_disk_are_followed(tmp_path: Path) -> None:
    mini.write_files(tmp_path / "real", {"1.jpg": b"1"})
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "folder").symlink_to(tmp_path / "real")
    (tmp_path / "tree" / "file.jpg").symlink_to(tmp_path / "real" / "1.jpg")
    tree = DiskFolder(str(tmp_path / "tree"))
    assert [name for name, _ in walk(tree)] == ["file.jpg", "folder/1.jpg"]


def test_links_to_nowhere_and_in_circles(tmp_path: Path) -> None:
    (tmp_path / "nowhere").mkdir()
    (tmp_path / "nowhere" / "1.jpg").symlink_to(tmp_path / "absent.jpg")
    with pytest.raises(DataError, match=r"nowhere/1\.jpg: cannot be read: No such file"):
        list(walk(DiskFolder(str(tmp_path / "nowhere"))))
    (tmp_path / "circle").mkdir()
    for name in "ab":
        (tmp_path / "circle" / name).symlink_to(tmp_path / "circle")
    with pytest.raises(DataError, match="Too many levels of symbolic links"):
        list(walk(DiskFolder(str(tmp_path / "circle"))))


def test_devices_on_the_disk_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zeros.jpg").symlink_to("/dev/zero")
    assert dict(walk(DiskFolder(str(tmp_path)))) == {"pipe.jpg": None, "zeros.jpg": None}


def test_a_file_that_changes(tmp_path: Path) -> None:
    file = file_at(write(tmp_path / "x", b"12345"))
    assert file.read() == b"12345"
    (tmp_path / "x").write_bytes(b"123")
    with pytest.raises(DataError, match="has become shorter"):
        file.read()
    (tmp_path / "x").unlink()
    with pytest.raises(DataError, match="cannot be read: No such file"):
        file.read()


def test_names_become_printable() -> None:
    assert (
        printable("caf\N{LATIN SMALL LETTER E WITH ACUTE} 1")
        == "caf\N{LATIN SMALL LETTER E WITH ACUTE} 1"
    )
    assert printable("a\nb\udcff\x1b[31m\x85") == r"a\nb\udcff\x1b[31m\x85"


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """Two that differ in such bytes alone are two files, on the disk and in a tar."""
    folder = tmp_path / "tree"
    folder.mkdir()
    for byte in (b"\xe8", b"\xe9"):
        Path(os.fsdecode(os.fsencode(folder) + b"/caf" + byte + b".jpg")).write_bytes(byte)
    with tarfile.open(tmp_path / "it.tar", "w") as tar:
        tar.add(folder, ".")
    for tree in (DiskFolder(str(folder)), read_tar(tmp_path / "it.tar")):
        contents = {name: file.read() for name, file in walk(tree) if file is not None}
        assert contents == {r"caf\udce8.jpg": b"\xe8", r"caf\udce9.jpg": b"\xe9"}


def test_a_name_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    """Of zeros that the disk does not have, so that the tar takes no room either."""
    name = tarfile.TarInfo("././@LongLink")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, 3_000_000_000
    with (tmp_path / "bomb.tar").open("wb") as file:
        file.write(name.tobuf(tarfile.GNU_FORMAT))
        file.truncate(name.size + 4096)
    before = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + 1_000_000_000, before[1]))
    try:
        with pytest.raises(DataError, match="a header of more than a mebibyte"):
            read_tar(tmp_path / "bomb.tar")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
