"""The folder of a web page: whole or not at all, the same bytes for the same model."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from pathlib import Path

import pytest
from small_network import small_network
from weight_server import Answer, WeightServer

from mobilenet import files
from mobilenet.cli import main
from mobilenet.errors import WeightsError
from mobilenet.export import web_runtime
from mobilenet.export.web_page import write_page
from mobilenet.export.web_runtime import CDN, MODULE, WASM, find_runtime, integrity

LINKED = find_runtime(CDN)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_network(tmp_path_factory.mktemp("model") / "net.onnx")


def content(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_the_same_model_gives_the_same_bytes(model: Path, tmp_path: Path) -> None:
    write_page(model, tmp_path / "one", LINKED)
    write_page(model, tmp_path / "other", LINKED)
    assert content(tmp_path / "one") == content(tmp_path / "other")
    assert not list(tmp_path.glob(".*"))


def test_everything_that_it_needs_is_kept_for_the_time_without_a_network(
    model: Path, tmp_path: Path
) -> None:
    write_page(model, tmp_path / "page", LINKED)
    found = content(tmp_path / "page")
    listed = re.search(r"FILES = (\[.*?\n\]);", found["offline.js"].decode(), re.DOTALL)
    assert listed is not None
    kept = dict(json.loads(listed[1]))
    own = {name: data for name, data in found.items() if name != "offline.js"}
    own["./"] = own.pop("index.html")
    digests = {name: integrity(hashlib.sha256(data).hexdigest()) for name, data in own.items()}
    runtime = {f"{CDN}/{name}": integrity(web_runtime.SHA256[name]) for name in (MODULE, WASM)}
    assert kept == {**digests, **runtime}


def test_a_linked_page_names_two_addresses_and_their_digests(model: Path, tmp_path: Path) -> None:
    write_page(model, tmp_path / "page", LINKED)
    page = (tmp_path / "page" / "index.html").read_text()
    addresses = set(re.findall(r"https://[^\s\";]+", page))
    assert addresses == {f"{CDN}/{MODULE}", f"{CDN}/{WASM}"}
    assert f'integrity="{integrity(web_runtime.SHA256[MODULE])}"' in page
    assert "unsafe-inline" not in page
    assert "{{" not in page


def test_an_earlier_page_is_replaced_and_stays_where_the_new_one_fails(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page"
    write_page(model, page, LINKED)
    before = content(page)
    other = small_network(tmp_path / "other.onnx", names=[str(n) for n in range(10)])

    def no_room(path: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "flush_to_disk", no_room)
        with pytest.raises(OSError, match="No space"):
            write_page(other, page, LINKED)
    assert content(page) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.onnx", "page"]
    write_page(other, page, LINKED)
    assert json.loads(content(page)["model.json"])["classes"][:2] == ["0", "1"]


def test_only_an_onnx_classifier_becomes_a_page(tmp_path: Path) -> None:
    for name in ("net.params", "net.onnx"):
        (tmp_path / name).write_bytes(b"nothing")
        with pytest.raises(WeightsError):
            write_page(tmp_path / name, tmp_path / "page", LINKED)
    assert not (tmp_path / "page").exists()


def test_the_command_fetches_the_runtime_once_and_copies_it_into_the_page(
    model: Path, tmp_path: Path, server: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = {MODULE: b"export {};", WASM: b"\0asm"}
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in package.items()}
    monkeypatch.setattr(web_runtime, "SHA256", digests)
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"{server.url}/npm/")
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, data in package.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    address = f"/npm/onnxruntime-web/-/{web_runtime.FOLDER}.tgz"
    server.answers[address] = Answer(file.getvalue())
    for name in ("one", "other"):
        assert main(("export", str(model), "--web", str(tmp_path / name))) == 0
    assert server.asked == [address]
    found = content(tmp_path / "one")
    assert found == content(tmp_path / "other")
    for name, data in package.items():
        assert found[f"{web_runtime.FOLDER}/{web_runtime.NAMES[name]}"] == data


def test_options_without_effect_are_refused(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(("export", str(model), "--mar", "x.mar", "--web-runtime", "cdn")) == 2
    assert "--web-runtime has no effect without --web" in capsys.readouterr().err
    words = ("--untrained", "--widths", "0.1", "--output", str(tmp_path), "--web", "page")
    assert main(("export", "configs/quickstart.yaml", *words)) == 2
    assert "--web has no effect on a family" in capsys.readouterr().err
