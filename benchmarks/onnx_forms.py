"""Compares the exported forms of one network in ONNX Runtime, side by side.

    python benchmarks/onnx_forms.py [--width 1.0] [--resolution 224] [--threads 2] [--repeats 7]

The forms take turns, so that a busy machine slows all of them. Each is compared with `unfoldable`
in the same turn; medians are printed, with quartiles in parentheses. `unfoldable` is the same nodes
with BatchNorm, written as exporters do that list initializers among the inputs at IR version 4 or
later, whereby ONNX Runtime may not fold anything.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from header import header, spread

from mobilenet.export.to_onnx import untrained_network
from mobilenet.onnx.exporter import export_network
from mobilenet.onnx.graph import GraphOptions
from mobilenet.onnx.runtime import OnnxModel
from mobilenet.settings.schema import Config, DataConfig, ModelConfig

BATCH_SIZES = (1, 32)


def main() -> None:
    """Prints how many times faster than `unfoldable` each form is, by batch size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--resolution", type=int, default=224)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    print(header(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_forms(Path(folder), arguments.width, arguments.resolution)
        models = {name: OnnxModel(path, arguments.threads) for name, path in paths.items()}
        sizes = {name: path.stat().st_size for name, path in paths.items()}
    speeds = {
        size: relative_speeds(models, size, arguments.resolution, arguments.repeats)
        for size in BATCH_SIZES
    }
    for name in models:
        columns = "".join(f"   batch {size}: x {speeds[size][name]}" for size in BATCH_SIZES)
        print(f"{name:12}{sizes[name] / sizes['unfoldable']:.2f} of the bytes{columns}")


def write_forms(folder: Path, width: float, resolution: int) -> dict[str, Path]:
    """One file per form, of the same random weights."""
    model = ModelConfig(width_multiplier=width, dialect="gluoncv")
    network = untrained_network(Config(model=model, data=DataConfig(resolution=resolution)))
    portable = GraphOptions(resolution=resolution)
    forms = {
        "portable": portable,
        "half": dataclasses.replace(portable, half_weights=True),
        "uint8": dataclasses.replace(portable, pixels="uint8"),
        "opset-13": dataclasses.replace(portable, opset=13),
        "zoo": dataclasses.replace(portable, form="zoo"),
    }
    paths = {name: folder / f"{name}.onnx" for name in [*forms, "unfoldable"]}
    for name, options in forms.items():
        export_network(network, paths[name], options)
    unfoldable = onnx.load(str(paths["zoo"]))
    unfoldable.ir_version = 8
    paths["unfoldable"].write_bytes(unfoldable.SerializeToString())
    return paths


def relative_speeds(
    models: dict[str, OnnxModel], size: int, resolution: int, repeats: int
) -> dict[str, str]:
    """Images per second of each model, as a multiple of those of `unfoldable`, and their spread."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (size, 3, resolution, resolution), np.uint8)
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(repeats + 1):
        for name, model in models.items():
            data = pixels.astype(model.dtype)
            start = time.perf_counter()
            model.predict(data)
            seconds[name].append(time.perf_counter() - start)
    base = seconds["unfoldable"][1:]
    return {
        name: spread([slow / fast for slow, fast in zip(base, times[1:])], ".2f")
        for name, times in seconds.items()
    }


if __name__ == "__main__":
    main()
