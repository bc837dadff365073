"""What tests of the web page share: its runtime, a Chromium, and a page of a small network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, browsing
from small_network import small_network

from mobilenet.errors import UserError
from mobilenet.export.web_page import write_page
from mobilenet.export.web_runtime import VERSION, Runtime, find_runtime

_RUNTIME = "MOBILENET_WEB_RUNTIME"


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    """ONNX Runtime Web of this machine, or a skip: tests download nothing."""
    given = os.environ.get(_RUNTIME)
    if given is not None:
        return find_runtime(Path(given))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOBILENET_OFFLINE", "1")
        try:
            return find_runtime()
        except UserError:
            pytest.skip(
                f"needs onnxruntime-web {VERSION}: a first `mobilenet export --web` fetches it, or"
                f" {_RUNTIME} names its folder or archive"
            )


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture(scope="session")
def small_page(runtime: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small network of random weights, with its file beside it."""
    folder = tmp_path_factory.mktemp("page")
    write_page(small_network(folder / "net.onnx"), folder / "page", runtime)
    return folder / "page"
