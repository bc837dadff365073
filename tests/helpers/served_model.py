"""A model that `mobilenet serve` serves on loopback, and requests to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

HOST = "127.0.0.1"
# Room for a log, and none for an image.
_SMALL_FILES = ("prlimit", "--fsize=100000")
COMMAND = (sys.executable, "-m", "mobilenet", "serve")


class Reply(NamedTuple):
    """What the server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Serving(NamedTuple):
    """A server that is ready."""

    process: subprocess.Popen[str]
    port: int

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """One request on a connection of its own; `_` in the name of a header is `-`."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        with contextlib.closing(connection):
            return asked(connection, method, path, body, headers)

    def predict(self, body: Any, **headers: str) -> Reply:
        """Posts an image."""
        return self.ask("POST", "/predict", body, **headers)


def asked(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """One request on a connection that stays open."""
    named = {name.replace("_", "-"): text for name, text in (headers or {}).items()}
    connection.request(method, path, body, named)
    answer = connection.getresponse()
    return Reply(answer.status, answer.headers, answer.read())


def form(name: str, content: bytes, boundary: str = "x") -> tuple[bytes, str]:
    """A form with one file, and its content type."""
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="a"\r\n\r\n'
    body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


@contextlib.contextmanager
def serving_model(folder: Path, *words: object, command: Any = COMMAND) -> Iterator[Serving]:
    """A server that can write no file but its log in `folder`, with the words of its command."""
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(
            [*_SMALL_FILES, *command, *map(str, words)], cwd=folder, text=True,
            stdout=subprocess.PIPE, stderr=log,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert ": http://" in line, (folder / "log").read_text()
        yield Serving(process, int(line.rpartition(":")[2]))
    finally:
        process.kill()
        process.communicate()
