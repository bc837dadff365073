"""The real Multi-Model-Server with our archive: started on loopback, asked, and stopped."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Iterator, NamedTuple

import pytest
from test_serving import exported, pictures

from mobilenet import cli

MAX_REQUEST_BYTES = 200_000
SECONDS_TO_START = 90
SETTINGS = """
inference_address=http://127.0.0.1:{inference}
management_address=http://127.0.0.1:{management}
model_store={folder}
load_models=net.mar
default_workers_per_model=1
max_request_size={max_bytes}
vmargs=-Xmx256m
"""


class Reply(NamedTuple):
    status: int
    text: str


def ask(url: str, body: bytes | None = None, kind: str = "image/jpeg") -> Reply:
    request = urllib.request.Request(url, body, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return Reply(reply.status, reply.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.read().decode())


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at; the server takes none above 49151, as systems give them."""
    with contextlib.ExitStack() as stack:
        found: list[int] = []
        for port in random.sample(range(20_000, 32_000), 1000):
            one = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                one.bind(("127.0.0.1", port))
                found.append(port)
            if len(found) == count:
                return found
    raise AssertionError("no port is free")


class Server(NamedTuple):
    process: subprocess.Popen[bytes]
    call: list[str]
    environment: dict[str, str]
    log: Path
    inference: str
    management: str


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that has loaded the archive; the folder is short, as names of sockets must be."""
    if importlib.util.find_spec("mms") is None:
        pytest.skip("needs multi-model-server: pip install multi-model-server")
    if shutil.which("java") is None:
        pytest.skip("needs Java, e.g. Debian's openjdk-17-jre-headless")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = exported(folder)
        assert cli.main(["export", str(source), "--mar", str(folder / "net.mar")]) == 0
        yield from started(folder)


def started(folder: Path) -> Iterator[Server]:
    inference, management = free_ports(2)
    text = SETTINGS.format(
        inference=inference, management=management, folder=folder, max_bytes=MAX_REQUEST_BYTES
    )
    (folder / "config.properties").write_text(text)
    # Its process number and sockets are in the temporary folder, one server per folder.
    environment = {**os.environ, "TMPDIR": str(folder), "TEMP": str(folder)}
    call = [sys.executable, "-m", "mms.model_server"]
    options = ["--start", "--foreground", "--mms-config", str(folder / "config.properties")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*call, *options], cwd=folder, env=environment, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    urls = [f"http://127.0.0.1:{port}" for port in (inference, management)]
    try:
        yield Server(process, call, environment, folder / "log", *urls)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)


def wait_until_ready(server: Server) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        assert server.process.poll() is None, server.log.read_text()
        with contextlib.suppress(OSError):
            if '"READY"' in ask(f"{server.management}/models/net").text:
                return
        time.sleep(0.2)
    pytest.fail(f"not ready after {SECONDS_TO_START} seconds: {server.log.read_text()}")


def is_running(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_server_answers_as_predict_does(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wait_until_ready(server)
    images = pictures(tmp_path)
    capsys.readouterr()
    assert cli.main(["predict", f"{server.log.parent}/net.onnx", *map(str, images), "--json"]) == 0
    expected = [json.loads(line)["guesses"] for line in capsys.readouterr().out.splitlines()]
    url = f"{server.inference}/predictions/net"
    bad = ask(url, b"these bytes are no image")
    assert (bad.status, list(json.loads(bad.text))) == (400, ["error"])
    assert ask(url, bytes(MAX_REQUEST_BYTES + 1)).status == 413
    form = (
        b'--x\r\nContent-Disposition: form-data; name="data"; filename="a"\r\n\r\n%b\r\n--x--\r\n'
    )
    for image, wanted in zip(images, expected):
        body = image.read_bytes()
        in_form = ask(url, form % body, "multipart/form-data; boundary=x")
        for reply in (ask(url, body), in_form):
            assert reply.status == 200
            guesses = json.loads(reply.text)["guesses"]
            assert [guess["label"] for guess in guesses] == [guess["label"] for guess in wanted]
            for guess, own in zip(guesses, wanted):
                assert guess["name"] == own["name"]
                assert guess["probability"] == pytest.approx(own["probability"], abs=1e-6)
    # The one worker that answers now is the one that was sent bad bytes.
    workers = json.loads(ask(f"{server.management}/models/net").text)["workers"]
    assert [worker["status"] for worker in workers] == ["READY"]
    assert server.log.read_text().count("MMS worker started") == 1
    stop = [*server.call, "--stop"]
    subprocess.run(stop, env=server.environment, check=True, capture_output=True, timeout=60)
    server.process.wait(timeout=30)
    deadline = time.monotonic() + 30
    while is_running(server.process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not is_running(server.process.pid)
