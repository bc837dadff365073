"""Loads `mobilenet serve` on loopback: its speed, a stop under load, bad bodies and slow clients.

    python benchmarks/serving.py [MODEL.onnx] [--seconds 10] [--clients 16] [--bad 10000]

Without MODEL it exports a network of random weights, width 1.0 at 224 px. Multi-Model-Server, if it
is installed, serves the same file in turns, with as many workers as it chooses. The clients are
threads of this process, each with one photograph and one connection. A request is lost that the
server has taken and not answered.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, Iterator, NamedTuple

import cv2
import numpy as np
from header import header

from mobilenet.export.model_archive import write_service
from mobilenet.export.to_onnx import export_untrained, options_for
from mobilenet.settings.schema import Config

HOST = "127.0.0.1"
TURNS = 2
BAD_CLIENTS = 8
MMS_SETTINGS = """
inference_address=http://127.0.0.1:{port}
management_address=http://127.0.0.1:{other}
model_store={folder}
load_models=net.mar
"""


class Served(NamedTuple):
    """A server that is ready."""

    process: subprocess.Popen[bytes]
    port: int
    path: str


def main() -> None:
    """Prints what each part has shown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--bad", type=int, default=10_000)
    arguments = parser.parse_args()
    print(header(), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = arguments.model or random_network(folder)
        has_mms = importlib.util.find_spec("mms") is not None and shutil.which("java") is not None
        for start in [ours, multi_model_server] * TURNS if has_mms else [ours] * TURNS:
            with start(folder, model) as server:
                print(speed(server, arguments.clients, arguments.seconds), flush=True)
        with ours(folder, model) as server:
            before = resident_megabytes(server)
            print(f"{arguments.bad} bad requests: {bad_requests(server, arguments.bad)}")
            print(f"resident: {before:.0f} MB before them, {resident_megabytes(server):.0f} after")
            with slow_clients(server.port, 100):
                print(f"beside 100 slow clients: {speed(server, arguments.clients, 5)}")
            print(f"stopped under load: {stopped(server, arguments.clients)}")


def random_network(folder: Path) -> Path:
    """An ONNX file of random weights."""
    return export_untrained(Config(), folder / "net.onnx", options_for(Config())).path


@contextlib.contextmanager
def ours(folder: Path, model: Path) -> Iterator[Served]:
    """`mobilenet serve` with its defaults."""
    command = [sys.executable, "-m", "mobilenet", "serve", str(model), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=folder)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(b":")[2])
        yield Served(process, port, "/predict")
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def multi_model_server(folder: Path, model: Path) -> Iterator[Served]:
    """Multi-Model-Server with its defaults."""
    write_service(model, folder / "net.mar")
    port, other = 20_000 + os.getpid() % 5000, 26_000 + os.getpid() % 5000
    settings = folder / "config.properties"
    settings.write_text(MMS_SETTINGS.format(port=port, other=other, folder=folder))
    call = [sys.executable, "-m", "mms.model_server", "--start", "--foreground"]
    environment = {**os.environ, "TMPDIR": str(folder), "TEMP": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*call, "--mms-config", str(settings)], cwd=folder, env=environment, stdout=log,
            stderr=log, start_new_session=True,
        )  # fmt: skip
    served = Served(process, port, "/predictions/net")
    try:
        wait_for(lambda: request(connect(port), served.path, photographs()[0]) == 200)
        yield served
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(is_ready: Callable[[], bool]) -> None:
    """Waits until a server answers."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if is_ready():
                return
        time.sleep(0.3)
    raise SystemExit("the server does not answer")


def photographs() -> list[bytes]:
    """JPEGs of 500 x 375 smooth pixels."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (8, 12, 16, 3), np.uint8)
    large = [cv2.resize(one, (500, 375), interpolation=cv2.INTER_CUBIC) for one in coarse]
    return [cv2.imencode(".jpg", one)[1].tobytes() for one in large]


def connect(port: int) -> http.client.HTTPConnection:
    """A connection that stays open."""
    return http.client.HTTPConnection(HOST, port, timeout=60)


def request(connection: http.client.HTTPConnection, path: str, body: bytes) -> int:
    """Posts a body; gives the status of the answer."""
    connection.request("POST", path, body, {"Content-Type": "application/octet-stream"})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def speed(server: Served, num_clients: int, seconds: float) -> str:
    """Images per second, and the median and the 99th percentile of the times of single requests."""
    photos, end = photographs(), time.monotonic() + seconds + 1

    def client(number: int) -> list[tuple[float, float]]:
        connection, times = connect(server.port), []
        while time.monotonic() < end:
            start = time.monotonic()
            if request(connection, server.path, photos[number % len(photos)]) != 200:
                raise SystemExit("a request of the load was refused")
            times.append((start, time.monotonic() - start))
        return times

    with ThreadPoolExecutor(num_clients) as pool:
        found = [pair for times in pool.map(client, range(num_clients)) for pair in times]
    counted = [taken for start, taken in found if start > end - seconds]  # a second to warm up
    median, late = np.percentile(counted, (50, 99)) * 1000
    name = "mobilenet serve" if server.path == "/predict" else "Multi-Model-Server"
    return (
        f"{name}: {len(counted) / seconds:.1f} images/s, median {median:.0f} ms,"
        f" 99th percentile {late:.0f} ms ({num_clients} clients, {seconds:g} s)"
    )


def bad_requests(server: Served, number: int) -> str:
    """The statuses of bad requests of every kind; then a good one has to be answered."""
    photo = photographs()[0]

    def client(seed: int) -> Counter[int]:
        generator = np.random.default_rng(seed)
        connection, statuses = connect(server.port), Counter[int]()
        for _ in range(number // BAD_CLIENTS):
            method, path, body, kind = one_bad(generator, photo)
            connection.request(method, path, body, {"Content-Type": kind})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200 and method != "HEAD" and not text.startswith(b'{"error":"'):
                raise SystemExit(f"{answer.status} without a sentence: {text[:200]!r}")
            statuses[answer.status] += 1
        return statuses

    with ThreadPoolExecutor(BAD_CLIENTS) as pool:
        total = sum(pool.map(client, range(BAD_CLIENTS)), Counter[int]())
    if request(connect(server.port), server.path, photo) != 200:
        raise SystemExit("a good request is refused after the bad ones")
    return ", ".join(f"{count} with {status}" for status, count in sorted(total.items()))


def one_bad(generator: np.random.Generator, photo: bytes) -> tuple[str, str, bytes, str]:
    """Garbage, a part of a photograph, a changed one, a bomb, a wrong form, method or address."""
    garbage = generator.bytes(int(generator.integers(0, 3000)))
    bomb = bytearray(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    bomb[16:24] = generator.integers(1 << 12, 1 << 20, 2).astype(">u4").tobytes()
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    cut = photo[: int(generator.integers(len(photo)))]
    place = int(generator.integers(len(photo)))
    changed = photo[:place] + garbage[:40] + photo[place + 40 :]
    form = b'--x\r\nContent-Disposition: form-data; name="data"\r\n\r\n' + cut + b"\r\n--x--"
    kinds = ("multipart/form-data; boundary=x", "multipart/form-data", "text/html; charset=x", "")
    body = (garbage, bytes(bomb), cut, changed, form, form[: len(cut)])[generator.integers(6)]
    method = ("POST",) * 30 + ("PUT", "GET", "DELETE", "HEAD", "PATCH")
    path = ("/predict",) * 30 + ("/predict/x", "/%2e%2e/etc/passwd", "/metrics")
    return (
        str(generator.choice(method)), str(generator.choice(path)), body,
        str(generator.choice(kinds)),
    )  # fmt: skip


@contextlib.contextmanager
def slow_clients(port: int, number: int) -> Iterator[None]:
    """Clients that send nothing, or a byte of a head or of a body each second."""
    starts = (
        b"",
        b"POST /pre",
        b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n",
    )
    is_over = threading.Event()

    def trickle(each: int) -> None:
        while not is_over.is_set():
            with contextlib.suppress(OSError), socket.create_connection((HOST, port)) as one:
                one.sendall(starts[each % 3])
                while each % 3 and not is_over.wait(1):
                    one.sendall(b"x")
                if not each % 3:
                    is_over.wait(60)

    threads = [threading.Thread(target=trickle, args=(each,)) for each in range(number)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def stopped(server: Served, num_clients: int) -> str:
    """What became of the requests of clients that go on while the server is stopped."""
    photos, outcomes = photographs(), Counter[str]()

    def client(number: int) -> None:
        while True:
            try:
                connection = connect(server.port)
                connection.connect()
            except OSError:
                outcomes["refused connections"] += 1
                return
            try:
                status = request(connection, server.path, photos[number % len(photos)])
            except (OSError, http.client.HTTPException) as error:
                outcomes[f"LOST ({type(error).__name__})"] += 1
            else:
                outcomes["answers" if status == 200 else f"refusals with {status}"] += 1

    with ThreadPoolExecutor(num_clients) as pool:
        for number in range(num_clients):
            pool.submit(client, number)
        time.sleep(2)
        start = time.monotonic()
        server.process.terminate()
        code = server.process.wait()
    listed = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
    return f"{listed}; exit code {code} after {time.monotonic() - start:.1f} s"


def resident_megabytes(server: Served) -> float:
    """The memory of the server."""
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
