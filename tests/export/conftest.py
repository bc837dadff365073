"""What tests of the web page share: its runtime, a Chromium, and a page of a small network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, browsing

from mobilenet import settings
from mobilenet.data.eval_transforms import Normalization
from mobilenet.errors import UserError
from mobilenet.export.to_onnx import describe_untrained, untrained_network
from mobilenet.export.web_page import write_page
from mobilenet.export.web_runtime import VERSION, Runtime, find_runtime
from mobilenet.onnx.exporter import export_network
from mobilenet.onnx.graph import GraphOptions
from mobilenet.onnx.metadata import Metadata
from mobilenet.packing.drawn_sample import CLASSES
from mobilenet.settings.schema import Config

_RUNTIME = "MOBILENET_WEB_RUNTIME"
CONFIG = """
model: {width_multiplier: 0.1, classes: 10}
data: {resolution: 64, mean: [0.4, 0.5, 0.6], std: [0.2, 0.3, 0.4]}
validation: {short_side: 73}
"""


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


def small_network(path: Path, text: str = CONFIG, **options: Any) -> Path:
    """An ONNX file of random weights; `names` are those of its 10 classes."""
    names = options.pop("names", CLASSES)
    config = settings.loads(Config, text, "net")
    chosen = {"resolution": 64, "normalization": normalization(config), **options}
    facts = describe_untrained(config).updated(Metadata(class_names=tuple(names)))
    return export_network(untrained_network(config), path, GraphOptions(**chosen), facts).path


def normalization(config: Config) -> Normalization:
    return Normalization(config.data.mean, config.data.std)


@pytest.fixture(scope="session")
def small_page(runtime: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small network of random weights, with its file beside it."""
    folder = tmp_path_factory.mktemp("page")
    write_page(small_network(folder / "net.onnx"), folder / "page", runtime)
    return folder / "page"
