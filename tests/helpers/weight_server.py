"""A host of weights on 127.0.0.1 that answers as it is told to, right or wrong."""

from __future__ import annotations

import contextlib
import io
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """What the server does when it is asked for a path."""

    content: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    num_sent: int | None = None  # as many bytes of the content; then the connection ends
    chunk_bytes: int = 1 << 16
    seconds_between: float = 0.0


class WeightServer:
    """Answers by path; keeps the paths that it was asked for."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []


@contextlib.contextmanager
def serving() -> Iterator[WeightServer]:
    """A server for as long as the block runs."""
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    httpd.daemon_threads = True
    server = WeightServer(f"http://127.0.0.1:{httpd.server_port}")
    httpd.told = server  # type: ignore[attr-defined]
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        told: WeightServer = self.server.told  # type: ignore[attr-defined]
        told.asked.append(self.path)
        answer = told.answers.get(self.path, Answer(b"no such file", 404))
        self.send_response(answer.status)
        length = {"Content-Length": str(len(answer.content))}
        for name, value in {**length, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # whoever asked has had enough
            self._send(answer)

    def _send(self, answer: Answer) -> None:
        content = io.BytesIO(answer.content[: answer.num_sent])
        while chunk := content.read(answer.chunk_bytes):
            self.wfile.write(chunk)
            self.wfile.flush()
            time.sleep(answer.seconds_between)

    def log_message(self, *_: object) -> None:
        pass


def zipped(name: str, content: bytes) -> bytes:
    """An archive with one member, as MXNet's and gluoncv's hosts have them."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()
