"""Mistakes with `export --web`: its folder, and what computes the network on the page."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from told import assert_told
from weight_server import Answer, WeightServer

from mobilenet.cli import main
from mobilenet.export.web_runtime import MODULE, VERSION, WASM
from mobilenet.pretrained import download

ARCHIVE = f"/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"


def archive(**content: bytes) -> bytes:
    """What `npm pack` would make of these files in `dist`."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, data in content.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return file.getvalue()


class Making:
    """Calls `export --web` on a proven file; whatever goes wrong, nothing may be left behind."""

    def __init__(self, job: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        self.model = next(job.glob("*.onnx"))

    def fails(self, *words: str, page: str = "page") -> str:
        """What the command says."""
        before = sorted(self.folder.rglob("*"))
        assert main(("export", str(self.model), "--web", str(self.folder / page), *words)) == 2
        assert sorted(self.folder.rglob("*")) == before
        return self.capsys.readouterr().err


@pytest.fixture
def making(job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Making:
    (tmp_path / "work").mkdir()
    return Making(job, tmp_path / "work", capsys)


def test_hosts_without_the_runtime(
    making: Making, server: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_RETRY", download._RETRY.new(backoff_factor=0.01))
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", server.url)
    assert_told(making.fails(), "the page's runtime cannot be downloaded")
    assert server.asked == [ARCHIVE]
    good = archive(**{MODULE: b"another version", WASM: b""})
    for content, situation in (
        (good, "the page's runtime in another version"),
        (good[:50], "the page's runtime is no archive"),
        (archive(other=b""), "the page's runtime is no archive"),
        (b"<html>Please log in</html>", "the page's runtime is no archive"),
    ):
        server.answers[ARCHIVE] = Answer(content)
        assert_told(making.fails(), situation)
    monkeypatch.setenv("MOBILENET_OFFLINE", "1")
    assert_told(making.fails(), "the page's runtime without the network")


def test_a_runtime_that_is_named(making: Making) -> None:
    here = making.folder / "here"
    here.mkdir()
    option = ("--web-runtime", str(here))
    assert_told(making.fails(*option), "a folder without the page's runtime")
    for name in (MODULE, WASM):
        (here / name).write_bytes(b"others")
    assert_told(making.fails(*option), "the page's runtime in another version")
    assert_told(
        making.fails("--web-runtime", str(here / MODULE)), "the page's runtime is no archive"
    )
    assert_told(
        making.fails("--web-runtime", str(here / "no.tgz")), "the page's runtime is not there"
    )
    for address in ("https://host/a b", "http://host/;script-src *", "https://", 'http://h/"><'):
        assert_told(making.fails("--web-runtime", address), "an address that no page can load from")


def test_a_folder_that_holds_something_else(
    making: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = making.folder / "photos"
    photos.mkdir()
    (photos / "index.html").write_text("of somebody")
    linked = ("--web-runtime", "cdn")
    assert_told(
        making.fails(*linked, page="photos"), "a folder for the page that holds something else"
    )
    assert main(("export", str(making.model), "--web", str(making.folder / "page"), *linked)) == 0
    (making.folder / "page" / "notes.txt").write_text("of somebody")
    assert_told(making.fails(*linked), "a folder for the page that holds something else")
    (making.folder / "empty").mkdir()
    monkeypatch.chdir(making.folder / "empty")
    assert_told(making.fails(*linked, page="empty"), "the page in the current folder")
    assert_told(making.fails(*linked, page="."), "the page in the current folder")
