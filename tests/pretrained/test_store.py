"""The store against a host on 127.0.0.1: what is said of every answer, and what is on the disk."""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import random
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from weight_server import Answer, WeightServer, zipped

from mobilenet.errors import WeightsError
from mobilenet.pretrained import download, store
from mobilenet.pretrained.published_weights import PublishedWeights

CONTENT = bytes(range(256)) * 400


def gluon(content: bytes = CONTENT) -> PublishedWeights:
    """Weights in an archive, as MXNet's and gluoncv's host has them."""
    return PublishedWeights(
        "gluoncv/net", "gluon", "gluon/models/net.zip", "net-12345678.params",
        f"sha1:{hashlib.sha1(content).hexdigest()}", {}, 0.5, 0.9, "a page",
    )  # fmt: skip


def hub(content: bytes | None = CONTENT) -> PublishedWeights:
    """A file of the Hugging Face hub, with a published digest or without one."""
    digest = None if content is None else f"sha256:{hashlib.sha256(content).hexdigest()}"
    address = "timm/net/resolve/main/model.safetensors"
    return PublishedWeights(
        "timm/net", "hub", address, "net.safetensors", digest, {}, 0.5, 0.9, "a page"
    )


def on_disk() -> set[str]:
    """The files of the store but for its locks."""
    files = (path for path in store.folder().rglob("*") if path.is_file())
    return {path.name for path in files if path.suffix != ".lock"}


def archive(server: WeightServer, **answer: object) -> Answer:
    told = Answer(zipped("net-12345678.params", CONTENT), **answer)  # type: ignore[arg-type]
    server.answers["/gluon/models/net.zip"] = told
    return told


def test_a_file_of_an_archive(server: WeightServer) -> None:
    archive(server)
    path = store.fetch(gluon())
    assert path == store.path_of(gluon())
    assert path.read_bytes() == CONTENT
    assert on_disk() == {"net-12345678.params"}
    assert store.fetch(gluon()) == path
    assert server.asked == ["/gluon/models/net.zip"]


def test_a_file_of_the_hub_that_sends_on_to_another_host(server: WeightServer) -> None:
    elsewhere = {"Location": f"{server.url}/blob?signature=1"}
    server.answers["/timm/net/resolve/main/model.safetensors"] = Answer(b"", 302, elsewhere)
    server.answers["/blob?signature=1"] = Answer(CONTENT)
    assert store.fetch(hub()).read_bytes() == CONTENT
    assert on_disk() == {"net.safetensors"}


def test_a_digest_that_only_the_hub_states(server: WeightServer) -> None:
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    headers = {"X-Linked-Etag": f'"{sha256}"', "Location": "/blob"}
    server.answers["/timm/net/resolve/main/model.safetensors"] = Answer(b"", 302, headers)
    server.answers["/blob"] = Answer(CONTENT, headers={"ETag": '"anything"'})
    path = store.fetch(hub(None))
    assert path.name == f"net-{sha256}.safetensors"
    assert store.stored(hub(None)) == path
    path.write_bytes(CONTENT[:-1])  # the name states the digest from now on
    assert store.stored(hub(None)) is None


# Every way in which a host may fail: situation, the answer, what is said.
FAILURES = {
    "another file": (
        {"content": zipped("net-12345678.params", CONTENT[::-1])},
        "what .*net.zip sends is damaged or another file: its digest is sha1:.* instead of sha1:",
    ),
    "half of the file": ({"num_sent": 500}, "the connection broke|only .* of .* bytes came"),
    "nothing of the file": ({"num_sent": 0}, "the connection broke|only 0 of .* bytes came"),
    "an archive of others": (
        {"content": zipped("../net-12345678.params", CONTENT)},
        "sends is no archive with net-12345678.params, or a damaged one",
    ),
    "no archive": ({"content": b"<html>hotel login</html>"}, "sends is no archive with"),
    "an empty file": ({"content": b""}, "sends is no archive with"),
    "no such file": ({"status": 404}, "the server answers 404 Not Found"),
    "a server in trouble": ({"status": 500}, "the server answers 500 Internal Server Error"),
    "forbidden": ({"status": 403}, "the server answers 403 Forbidden"),
    "a circle of redirects": (
        {"status": 302, "headers": {"Location": "/gluon/models/net.zip"}},
        "it redirects without an end",
    ),
    "an address that is none": (
        {"status": 302, "headers": {"Location": "nonsense://x"}},
        "No connection adapters",
    ),
    "too slow": ({"chunk_bytes": 50, "seconds_between": 1.0}, "no answer in time|no connection"),
    "an endless file": ({"content": b"0" * 200_000}, "the server sends more than 100,000 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("situation", FAILURES)
def test_failures(situation: str, server: WeightServer, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, message = FAILURES[situation]
    archive(server)
    server.answers["/gluon/models/net.zip"] = replace(
        server.answers["/gluon/models/net.zip"], **answer
    )
    monkeypatch.setattr(download, "_TIMEOUT_SECONDS", (0.3, 0.3))
    monkeypatch.setattr(download, "_RETRY", download._RETRY.new(backoff_factor=0.01))
    monkeypatch.setattr(download, "MAX_BYTES", 100_000)
    with pytest.raises(WeightsError) as caught:
        store.fetch(gluon())
    text = str(caught.value)
    assert re.search(message, text), text
    assert f" {server.url}/gluon/models/net.zip" in text
    assert "or put net-12345678.params from there at" in text
    assert str(store.path_of(gluon())) in text
    assert "\n" not in text
    assert on_disk() == set()


def test_a_server_in_trouble_is_asked_again(
    server: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_RETRY", download._RETRY.new(backoff_factor=0.01))
    archive(server, status=503)
    with pytest.raises(WeightsError):
        store.fetch(gluon())
    assert len(server.asked) == 3


def test_no_server(server: WeightServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_RETRY", download._RETRY.new(backoff_factor=0.01))
    monkeypatch.setenv("MXNET_GLUON_REPO", "http://127.0.0.1:1")
    with pytest.raises(WeightsError, match="no connection; name a mirror by MXNET_GLUON_REPO"):
        store.fetch(gluon())
    assert on_disk() == set()


@pytest.mark.parametrize("variable", ["MOBILENET_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline(variable: str, server: WeightServer, monkeypatch: pytest.MonkeyPatch) -> None:
    archive(server)
    monkeypatch.setenv(variable, "1")
    message = f"is not on this machine, and {variable} keeps it from being downloaded"
    with pytest.raises(WeightsError, match=message):
        store.fetch(gluon())
    assert server.asked == []
    path = store.path_of(gluon())
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT[1:])
    with pytest.raises(WeightsError, match=r"is damaged: its digest is not sha1:"):
        store.fetch(gluon())
    path.write_bytes(CONTENT)  # by hand
    assert store.fetch(gluon()) == path


def test_a_hub_that_states_no_digest(server: WeightServer) -> None:
    server.answers["/timm/net/resolve/main/model.safetensors"] = Answer(CONTENT)
    with pytest.raises(WeightsError, match="states no SHA-256"):
        store.fetch(hub(None))
    assert on_disk() == set()


def test_a_damaged_file_is_set_aside(
    server: WeightServer, capsys: pytest.CaptureFixture[str]
) -> None:
    archive(server)
    path = store.fetch(gluon())
    path.write_bytes(b"damaged")
    assert store.fetch(gluon()).read_bytes() == CONTENT
    assert path.with_name(f"{path.name}.damaged").read_bytes() == b"damaged"
    assert "is damaged; it is net-12345678.params.damaged now" in capsys.readouterr().err


def test_what_gluoncv_has_fetched_is_used(
    server: WeightServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "home/.mxnet/models/net-12345678.params"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(CONTENT)
    assert store.fetch(gluon()) == theirs
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "elsewhere"))
    assert store.stored(gluon()) is None
    assert server.asked == []


@pytest.mark.parametrize("published", [hub(), hub(None)])
def test_what_the_client_of_the_hub_has_fetched_is_used(
    published: PublishedWeights, server: WeightServer, tmp_path: Path
) -> None:
    repository = tmp_path / "cache/huggingface/hub/models--timm--net"
    blob = repository / "blobs" / hashlib.sha256(CONTENT).hexdigest()
    link = repository / "snapshots/0123abc/model.safetensors"
    for folder in (blob.parent, link.parent):
        folder.mkdir(parents=True)
    blob.write_bytes(CONTENT)
    link.symlink_to(blob)
    assert store.fetch(published) == link
    blob.write_bytes(CONTENT[:-1])
    assert store.stored(published) is None
    assert server.asked == []


def fetch_in_process(start: object, results: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    results.put(store.fetch(gluon()).read_bytes() == CONTENT)  # type: ignore[attr-defined]


def test_two_processes_at_once_download_once(server: WeightServer) -> None:
    archive(server, chunk_bytes=100, seconds_between=0.2)
    context = multiprocessing.get_context("fork")
    start, results = context.Event(), context.Queue()
    workers = [context.Process(target=fetch_in_process, args=(start, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    start.set()
    assert [results.get(timeout=60) for _ in workers] == [True, True]
    for worker in workers:
        worker.join()
    assert server.asked == ["/gluon/models/net.zip"]


def spoiled(content: bytes, chance: random.Random) -> bytes:
    """The bytes cut short, with other bytes in them, or with bytes too many."""
    kind = chance.randrange(4)
    place = chance.randrange(len(content))
    if kind == 0:
        return content[:place]
    if kind == 1:
        return (
            content[:place]
            + bytes([content[place] ^ 1 << chance.randrange(8)])
            + content[place + 1 :]
        )
    if kind == 2:
        return content[:place] + chance.randbytes(chance.randrange(1, 300)) + content[place:]
    return content[:place] + chance.randbytes(len(content) - place)


@pytest.mark.parametrize(
    "number", [40, pytest.param(1000, marks=pytest.mark.slow)], ids=["some", "1000"]
)
def test_spoiled_downloads_never_get_the_name(number: int, server: WeightServer) -> None:
    content = random.Random(1).randbytes(3000)
    whole = zipped("net-12345678.params", content)
    chance, refused = random.Random(number), 0
    for _ in range(number):
        answer = spoiled(whole, chance)
        server.answers["/gluon/models/net.zip"] = Answer(answer)
        try:
            path = store.fetch(gluon(content))
        except WeightsError:
            refused += 1
            assert on_disk() == set()
        else:  # what was changed is not in the file, as the time in the archive's list
            assert path.read_bytes() == content
            assert on_disk() == {path.name}
            path.unlink()
    assert refused > 0.9 * number


def test_a_member_that_is_a_bomb(server: WeightServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_BYTES", 1 << 20)
    server.answers["/gluon/models/net.zip"] = Answer(zipped("net-12345678.params", bytes(1 << 24)))
    with pytest.raises(WeightsError, match="or a damaged one"):
        store.fetch(gluon())
    assert on_disk() == set()


def test_an_archive_with_a_password(server: WeightServer) -> None:
    told = archive(server)
    told.content = told.content.replace(b"PK\x03\x04\x14\x00\x00", b"PK\x03\x04\x14\x00\x01")
    told.content = told.content.replace(
        b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"
    )
    with pytest.raises((RuntimeError, zipfile.BadZipFile)):
        zipfile.ZipFile(io.BytesIO(told.content)).read("net-12345678.params")
    with pytest.raises(WeightsError, match="or a damaged one"):
        store.fetch(gluon())
    assert on_disk() == set()
