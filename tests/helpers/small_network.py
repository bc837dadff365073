"""An ONNX file of a small network of random weights, which has names for its 10 classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mobilenet import build, settings
from mobilenet.export.to_onnx import describe_untrained, untrained_network
from mobilenet.onnx.exporter import export_network
from mobilenet.onnx.graph import GraphOptions
from mobilenet.onnx.metadata import Metadata
from mobilenet.packing.drawn_sample import CLASSES
from mobilenet.settings.schema import Config

CONFIG = """
model: {width_multiplier: 0.1, classes: 10}
data: {resolution: 64, mean: [0.4, 0.5, 0.6], std: [0.2, 0.3, 0.4]}
validation: {short_side: 73}
"""


def small_network(path: Path, text: str = CONFIG, **options: Any) -> Path:
    """Writes the file to `path`; `options` are those of the graph, and `names` of the classes."""
    names = options.pop("names", CLASSES)
    config = settings.loads(Config, text, "net")
    chosen = {"resolution": 64, "normalization": build.normalization(config), **options}
    facts = describe_untrained(config).updated(Metadata(class_names=tuple(names)))
    return export_network(untrained_network(config), path, GraphOptions(**chosen), facts).path
