"""`mobilenet serve` as a process: answers, refusals, limits, counters and the page."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import importlib.util
import json
import signal
import socket
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from browser import browsing
from PIL import Image
from random_networks import random_network
from served_model import HOST, Serving, asked, form, serving_model
from small_network import CONFIG, small_network
from told import assert_told
from tried_page import shown, try_photo

from mobilenet import cli
from mobilenet.network.architecture import parameter_arrays
from mobilenet.network.params_file import write_arrays

MAX_BYTES = 3_000_000
PACKAGES = ("starlette", "uvicorn", "prometheus_client", "python_multipart")
pytestmark = pytest.mark.skipif(
    None in map(importlib.util.find_spec, PACKAGES),
    reason="needs the extra: pip install '.[serve]'",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("serving")


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    return small_network(folder / "net.onnx")


@pytest.fixture(scope="module")
def server(folder: Path, model: Path) -> Iterator[Serving]:
    with serving_model(folder, model, "--port", 0, "--max-body-mb", 3) as running:
        yield running


@pytest.fixture(scope="module")
def photos(folder: Path) -> list[Path]:
    """Images that are no squares; the last one is stored turned."""
    generator = np.random.default_rng(5)
    paths = []
    for number, size in enumerate(((90, 60), (64, 128), (200, 150))):
        coarse = Image.fromarray(generator.integers(0, 256, (6, 9, 3), np.uint8))
        exif = Image.Exif()
        exif[0x0112] = 6 if number == 2 else 1
        paths.append(folder / f"{number}.jpg")
        coarse.resize(size).save(paths[-1], exif=exif)
    return paths


def as_predict(model: Path, photos: list[Path], capsys: pytest.CaptureFixture[str]) -> list[Any]:
    capsys.readouterr()
    assert cli.main(["predict", str(model), *map(str, photos), "--json"]) == 0
    return [json.loads(line)["guesses"] for line in capsys.readouterr().out.splitlines()]


def test_the_answer_is_that_of_predict(
    server: Serving, model: Path, photos: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for photo, expected in zip(photos, as_predict(model, photos, capsys)):
        image = photo.read_bytes()
        replies = [server.predict(image), server.predict(image, Content_Type="text/plain")]
        for name, boundary in (("data", "x"), ("image", "-" * 40)):
            body, kind = form(name, image, boundary)
            replies.append(server.predict(body, Content_Type=kind))
        body, kind = form("data", image)
        plain = body.replace(b'; filename="a"', b"")
        replies.append(server.predict(plain, Content_Type=kind.replace("multi", "Multi")))
        for reply in replies:
            assert reply.status == 200
            assert reply.headers["Content-Type"] == "application/json"
            for guess, own in zip(reply.json["guesses"], expected):
                assert guess == {**own, "probability": pytest.approx(own["probability"], abs=1e-6)}


def test_a_large_image_is_held_in_memory(server: Serving) -> None:
    """Where no file can be written: as the body, and as a field of a form with or without name."""
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8)
    image = cv2.imencode(".png", noise)[1].tobytes()
    assert len(image) > 2_000_000
    body, kind = form("data", image)
    assert server.predict(image).status == 200
    assert server.predict(body, Content_Type=kind).status == 200
    nameless = body.replace(b'; filename="a"', b"")
    assert server.predict(nameless, Content_Type=kind).status == 200


def bomb() -> bytes:
    """A PNG of a few kilobytes whose header claims 40,000 x 40,000 pixels."""
    image = bytearray(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    image[16:24] = (40_000).to_bytes(4, "big") * 2
    image[29:33] = zlib.crc32(image[12:29]).to_bytes(4, "big")
    return bytes(image)


def test_what_is_no_image_is_told_in_a_sentence(server: Serving, photos: list[Path]) -> None:
    image = photos[0].read_bytes()
    damaged, kind = form("data", image)
    other, _ = form("something", image)
    for body, headers, status, said in (
        (b"no image", {}, 400, "it is damaged, or is no image"),
        (b"", {}, 400, "send one image"),
        (image[:100], {}, 400, "cannot be decoded"),
        (bomb(), {}, 400, "it has more than 134,217,728 pixels"),
        (other, {"Content-Type": kind}, 400, "or as the field 'data' or 'image' of a form"),
        (damaged[:5], {"Content-Type": kind}, 400, "send one image"),
        (b"--y" + damaged, {"Content-Type": kind}, 400, "the form is damaged"),
        (damaged, {"Content-Type": "multipart/form-data"}, 400, "the form is damaged"),
        (bytes(MAX_BYTES + 1), {}, 413, "more than 3,000,000 bytes"),
    ):
        reply = server.predict(body, **headers)
        assert (reply.status, list(reply.json)) == (status, ["error"])
        assert said in reply.json["error"]
        assert "\n" not in reply.json["error"]
    for method, path, status in (
        ("GET", "/predict", 405),
        ("PUT", "/predict", 405),
        ("POST", "/healthz", 405),
        ("DELETE", "/", 405),
        ("GET", "/../etc/passwd", 404),
        ("GET", "/page/index.html", 404),
    ):
        reply = server.ask(method, path)
        assert (reply.status, list(reply.json)) == (status, ["error"])
    assert server.predict(image).status == 200


def test_a_body_without_a_length_is_limited_as_well(server: Serving, photos: list[Path]) -> None:
    image = photos[0].read_bytes()
    assert server.predict(iter([image[:50], image[50:]])).status == 200
    too_large = server.predict(iter([bytes(1_000_000)] * 4))
    assert (too_large.status, list(too_large.json)) == (413, ["error"])


def test_a_refused_body_does_not_spoil_the_connection(server: Serving, photos: list[Path]) -> None:
    connection = http.client.HTTPConnection(HOST, server.port, timeout=30)
    with contextlib.closing(connection):
        assert asked(connection, "POST", "/predict", bytes(2 * MAX_BYTES)).status == 413
        assert asked(connection, "POST", "/predict", photos[0].read_bytes()).status == 200


def counted(server: Serving) -> dict[str, float]:
    lines = server.ask("GET", "/metrics").body.decode().splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return {name.removeprefix("mobilenet_"): float(value) for name, value in pairs}


def test_requests_are_counted(server: Serving, photos: list[Path]) -> None:
    server.predict(photos[0].read_bytes()), server.predict(b"bad")
    before = counted(server)
    for body, number in ((photos[0].read_bytes(), 3), (b"bad", 2)):
        for _ in range(number):
            server.predict(body)
    after = counted(server)
    grown = {name: value - before[name] for name, value in after.items() if name in before}
    assert grown['requests_total{status="200"}'] == 3
    assert grown['requests_total{status="400"}'] == 2
    assert grown["request_seconds_count"] == 5
    assert (grown["batch_size_count"], grown["batch_size_sum"]) == (3, 3)
    assert after["queue_length"] == after["requests_in_progress"] == 0
    assert after["process_resident_memory_bytes"] > 1e6
    assert server.ask("GET", "/healthz").json == {"status": "ready"}


def test_the_page_shows_what_predict_says(
    server: Serving,
    model: Path,
    photos: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = f"http://{HOST}:{server.port}"
    with browsing(tmp_path) as browser:
        browser.open(f"{url}/")
        browser.wait_for(f"document.readyState === 'complete' && location.href === '{url}/'")
        for photo, expected in zip(photos, as_predict(model, photos, capsys)):
            assert photo.name in try_photo(browser, photo)
            assert [name for name, _ in shown(browser)] == [guess["name"] for guess in expected]
        (tmp_path / "bad.jpg").write_bytes(b"bad")
        assert browser.complaints() == []
        assert "cannot be decoded" in try_photo(browser, tmp_path / "bad.jpg")
        assert shown(browser) == []


# A network that takes a while, under limits that are reached in a test.
TIGHT = """
import dataclasses, sys, time
from mobilenet.inference.naive_engine import load_for_inference
load_for_inference()
from mobilenet.errors import RunStopped
from mobilenet.inference.open_model import open_model
from mobilenet.serving import connection
from mobilenet.serving.limits import Limits
from mobilenet.serving.server import listen, serve
connection.HEAD_SECONDS = 0.5
connection.LINGER_SECONDS = 2.0
model = open_model(sys.argv[1])
def slowly(images):
    time.sleep(0.8)
    if images.any() and images.std(axis=(2, 3)).max() < 1e-3:
        raise ValueError("no picture")
    return model.predict(images)
limits = Limits(max_batch=1, max_requests=4, wait_seconds=2.0, body_seconds=0.5)
with listen("127.0.0.1", 0) as listening:
    url = f"net: http://127.0.0.1:{listening.getsockname()[1]}"
    slow = dataclasses.replace(model, predict=slowly)
    try:
        serve(slow, listening, limits, lambda: print(url, flush=True))
    except RunStopped as stop:
        print(stop, file=sys.stderr)
        sys.exit(stop.exit_code)
"""


@pytest.fixture(scope="module")
def weights(folder: Path) -> Path:
    """What MXNet computes, other than the ONNX file."""
    (folder / "own.yaml").write_text(CONFIG)
    with (folder / "own.params").open("wb") as file:
        write_arrays(file, parameter_arrays(random_network("paper", 0.1, 10)))
    return folder / "own.params"


@pytest.fixture(scope="module")
def tight(folder: Path, weights: Path) -> Iterator[Serving]:
    with serving_model(folder, weights, command=(sys.executable, "-c", TIGHT)) as running:
        yield running


def test_a_network_is_run_by_onnx_runtime_unless_another_engine_is_told(
    folder: Path, weights: Path, photos: list[Path]
) -> None:
    answers = []
    for options, engine in (((), "onnxruntime"), (("--engine", "mxnet"), "mxnet")):
        with serving_model(folder, weights, "--port", 0, *options) as running:
            assert counted(running)[f'model_info{{engine="{engine}"}}'] == 1
            answers.append(running.predict(photos[0].read_bytes()).json["guesses"])
    first, second = ([guess["probability"] for guess in answer] for answer in answers)
    assert first == pytest.approx(second, abs=1e-4)


def test_a_network_of_mxnet_answers_as_predict_does(
    tight: Serving, weights: Path, photos: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    expected = as_predict(weights, photos[:2], capsys)
    for photo, guesses in zip(photos, expected):
        found = tight.predict(photo.read_bytes()).json["guesses"]
        assert [guess["label"] for guess in found] == [guess["label"] for guess in guesses]
        assert [guess["probability"] for guess in found] == pytest.approx(
            [guess["probability"] for guess in guesses], abs=1e-5
        )


def test_too_many_requests_are_refused_and_the_others_answered(
    tight: Serving, photos: list[Path]
) -> None:
    """Of seven, three are too many at once, and two have to wait too long for a batch of one."""
    image = photos[0].read_bytes()
    with concurrent.futures.ThreadPoolExecutor(7) as pool:
        replies = list(pool.map(lambda _: tight.predict(image), range(7)))
    assert sorted(reply.status for reply in replies) == [200, 200, 503, 503, 503, 503, 503]
    refused = [reply for reply in replies if reply.status == 503]
    assert {reply.headers["Retry-After"] for reply in refused} == {"1"}
    said = [reply.json["error"] for reply in refused]
    assert said.count("4 requests are being answered already; try again later") == 3
    assert said.count("there was no answer within 2 seconds; try again later") == 2
    assert tight.predict(image).status == 200


def test_slow_clients_are_sent_away(tight: Serving, photos: list[Path]) -> None:
    """Heads that do not come, or not to their end; bodies that trickle; and idle connections."""
    address, image = (HOST, tight.port), photos[0].read_bytes()
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n"
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(address, 20)) for _ in range(5)]
        silent, headless, trickling, bodiless, idle = slow
        headless.sendall(head)
        trickling.sendall(head[:5])
        bodiless.sendall(head + b"\r\n1234")
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        start = time.monotonic()
        assert tight.predict(image).status == 200
        with contextlib.suppress(OSError):
            while time.monotonic() < start + 15:
                trickling.sendall(b"x")
                time.sleep(0.05)
        assert time.monotonic() < start + 14
        assert silent.recv(100) == b""
        assert headless.recv(100) == b""
        answers = [b"".join(iter(lambda one=one: received(one), b"")) for one in (bodiless, idle)]
    assert answers[0].startswith(b"HTTP/1.1 408 ")
    assert answers[0].endswith(b'{"error":"the body has not arrived within 0.5 seconds"}')
    assert answers[1].endswith(b'{"status":"ready"}')


def received(one: socket.socket) -> bytes:
    return one.recv(10_000)


def test_a_network_that_fails_is_told_without_a_traceback(
    tight: Serving, folder: Path, photos: list[Path]
) -> None:
    plain = cv2.imencode(".png", np.full((80, 80, 3), 77, np.uint8))[1].tobytes()
    reply = tight.predict(plain)
    assert (reply.status, reply.json) == (500, {"error": "the server failed; its log says why"})
    assert counted(tight)['requests_total{status="500"}'] == 1
    assert tight.predict(photos[0].read_bytes()).status == 200
    assert "ValueError: no picture" in (folder / "log").read_text()  # written after the answer


def test_a_client_that_leaves_harms_nobody(tight: Serving, photos: list[Path]) -> None:
    image = photos[0].read_bytes()
    head = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: {len(image)}\r\n\r\n".encode()
    for sent in (head, head + image[:10], head + image):
        with socket.create_connection((HOST, tight.port), 20) as one:
            one.sendall(sent)
    assert tight.predict(image).status == 200


def test_what_the_command_refuses(
    server: Serving, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["serve", str(model), "--port", str(server.port)]) == 2
    assert_told(capsys.readouterr().err, "a port that is taken")
    assert cli.main(["serve", str(model), "--host", "192.0.2.1"]) == 2
    assert_told(capsys.readouterr().err, "an address of another machine")
    assert cli.main(["serve", str(model), "--host", "no such host"]) == 2
    assert "--host no such host --port 8000: the server cannot listen there: " in (
        capsys.readouterr().err
    )
    assert cli.main(["serve", str(model) + "x", "--port", "0"]) == 2
    assert "no such file" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        cli.main(["serve", str(model), "--max-batch", "0"])
    assert "expected an integer, at least 1, not '0'" in capsys.readouterr().err


def test_packages_that_are_missing_are_named(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "mobilenet.commands.prediction.find_spec",
        lambda name: None if name in ("uvicorn", "python_multipart") else found(name),
    )
    assert cli.main(["serve", str(model)]) == 2
    said = capsys.readouterr().err
    assert_told(said, "packages that the server needs are missing")
    assert said.endswith("pip install uvicorn python-multipart\n")


def test_a_stop_loses_no_request(folder: Path, model: Path, photos: list[Path]) -> None:
    """What has arrived is answered; what comes later is told, or finds no server any more."""
    image = photos[0].read_bytes()
    slow = (sys.executable, "-c", TIGHT.replace("wait_seconds=2", "wait_seconds=9"))
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serving_model(folder, model, command=slow))
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(3))
        one = http.client.HTTPConnection(HOST, server.port, timeout=30)
        stack.enter_context(contextlib.closing(one))
        assert asked(one, "GET", "/healthz").status == 200
        arrived = [pool.submit(server.predict, image) for _ in range(3)]
        while counted(server)["requests_in_progress"] < 3:
            time.sleep(0.02)
        server.process.terminate()
        time.sleep(0.2)
        later = asked(one, "GET", "/healthz")
        assert (later.status, later.json) == (503, {"status": "stopping"})
        later = asked(one, "POST", "/predict", image)
        assert (later.status, later.headers["Connection"]) == (503, "close")
        assert "the server is stopping" in later.json["error"]
        with pytest.raises(ConnectionRefusedError):
            while server.predict(image).status == 503:
                time.sleep(0.05)
        assert [each.result().status for each in arrived] == [200] * 3
        assert server.process.wait(10) == 143


def test_ctrl_c_stops_the_command(server: Serving, folder: Path) -> None:
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(10) == 130
    assert "mobilenet serve: stopped by SIGINT after " in (folder / "log").read_text()
