"""A Chromium without a window that tests drive by the Chrome DevTools Protocol, over two pipes."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--remote-debugging-pipe"),
)
# Chromium reads commands from file descriptor 3 and writes answers to 4.
_LAUNCHER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
_SECONDS = 180.0


class Browser:
    """One page of a running Chromium; `events` has what it told, newest last."""

    def __init__(self, commands: int, answers: int) -> None:
        self.events: list[dict[str, Any]] = []
        self._commands, self._answers = commands, answers
        self._unread, self._number, self._session = b"", 0, ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "DOM", "Accessibility"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a command of the protocol."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        while True:
            message = self._read()
            if message.get("id") == self._number:
                assert "error" not in message, (method, message["error"])
                result: dict[str, Any] = message["result"]
                return result
            self.events.append(message)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._answers], [], [], _SECONDS)
            part = os.read(self._answers, 1 << 20) if ready else b""
            assert part, "Chromium has ended, or does not answer"
            self._unread += part
        message, _, self._unread = self._unread.partition(b"\0")
        decoded: dict[str, Any] = json.loads(message)
        return decoded

    def open(self, url: str) -> None:
        """Loads a page."""
        self.call("Page.navigate", url=url)

    def value(self, expression: str) -> Any:
        """The value of an expression of JavaScript, or of the promise that it is."""
        found = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """The value of an expression as soon as it is true."""
        end = time.monotonic() + _SECONDS
        while not (value := self.value(expression)):
            assert time.monotonic() < end, f"{expression}; {self.value('document.body.innerText')}"
            time.sleep(0.05)
        return value

    def choose(self, selector: str, path: Path) -> None:
        """Gives a file to an input, as if it had been chosen in its dialog."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def press(self, key: str) -> None:
        """Presses and releases a key."""
        code = {"Tab": 9, "Enter": 13, " ": 32}[key]
        text = {"Enter": "\r", " ": " "}.get(key, "")
        for kind in ("keyDown", "keyUp"):
            own = {"text": text} if kind == "keyDown" and text else {}
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **own
            )

    def resize(self, width: int, height: int, is_phone: bool = False) -> None:
        """Sets the size of the window in CSS pixels; a phone has a touch screen."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=2 if is_phone else 1, mobile=is_phone,
        )  # fmt: skip
        self.call("Emulation.setTouchEmulationEnabled", enabled=is_phone)

    def complaints(self) -> list[str]:
        """Errors and warnings that the page has caused in the console."""
        found = []
        for event in self.events:
            parameters = event.get("params", {})
            if event.get("method") == "Runtime.exceptionThrown":
                found.append(str(parameters["exceptionDetails"]))
            elif event.get("method") == "Log.entryAdded":
                found.append(str(parameters["entry"]))
            elif event.get("method") == "Runtime.consoleAPICalled":
                found.append(str(parameters["args"]))
        return found


@contextlib.contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """A running Chromium with its profile in `folder`; skips where there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("needs Chromium (apt-get install chromium)")
    there, commands = os.pipe()
    answers, back = os.pipe()
    # 3 and 4 themselves would be replaced while they are still needed.
    theirs = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (there, back)]
    command = [sys.executable, "-c", _LAUNCHER, *map(str, theirs), program, *FLAGS]
    command += [f"--user-data-dir={folder / 'profile'}", "about:blank"]
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(command, pass_fds=theirs, stdout=log, stderr=log)
    for end in (there, back, *theirs):
        os.close(end)
    try:
        yield Browser(commands, answers)
    finally:
        for end in (commands, answers):
            os.close(end)
        try:
            process.wait(20)  # it ends when its pipes do
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class _Handler(SimpleHTTPRequestHandler):
    """What `python -m http.server` answers with; notes what was asked for."""

    headers_of_all: tuple[tuple[str, str], ...] = ()

    def log_message(self, *_: object) -> None:
        pass

    def end_headers(self) -> None:
        for name, text in self.headers_of_all:
            self.send_header(name, text)
        super().end_headers()

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        super().do_GET()


class Served(ThreadingHTTPServer):
    """A folder on 127.0.0.1; `asked` has the paths of all requests."""

    daemon_threads = True

    def __init__(self, folder: Path, *headers: tuple[str, str]) -> None:
        handler = type("Handler", (_Handler,), {"headers_of_all": headers})
        super().__init__(("127.0.0.1", 0), partial(handler, directory=str(folder)))
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a browser that has left


@contextlib.contextmanager
def serving_folder(folder: Path, *headers: tuple[str, str]) -> Iterator[Served]:
    """A file server for a folder, with further headers in each answer."""
    with Served(folder, *headers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
