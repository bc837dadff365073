"""Compares 8-bit integers with single precision, in ONNX Runtime and in MXNet, side by side.

    python benchmarks/int8.py [--width 1.0] [--resolution 224] [--repeats 7]

The network has random weights, which change no speed. MXNet runs with its usual engine; `speed.py
infer` has the one with which `validate` and `predict` compute. Single precision and integers take
turns, so that a busy machine slows both; medians of both and of their ratio are printed, with
quartiles in parentheses.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Callable

import mobilenet  # noqa: F401  # isort: skip  makes MXNet importable
import mxnet as mx
import numpy as np
import numpy.typing as npt
from header import header, spread

from mobilenet.compat.environment import allow_all_instructions
from mobilenet.export.to_onnx import untrained_network
from mobilenet.network.architecture import parameter_arrays
from mobilenet.network.graph_forms import inference_block, symbol_of
from mobilenet.network.mxnet_int8 import int8_block
from mobilenet.onnx.exporter import export_network
from mobilenet.onnx.graph import GraphOptions
from mobilenet.onnx.int8_quantizer import OPSET, quantized
from mobilenet.onnx.runtime import OnnxModel
from mobilenet.settings.schema import Config, DataConfig, ModelConfig

BATCH_SIZES = (1, 32)
NUM_THREADS = int(os.environ["OMP_NUM_THREADS"])
Images = npt.NDArray[np.float32]
Predict = Callable[[Images], object]


def main() -> None:
    """Prints images per second in both precisions, and their ratio, by engine and batch size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--resolution", type=int, default=224)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    print(header(), flush=True)
    allow_all_instructions()
    images = np.random.default_rng(0).normal(size=(32, 3, *[arguments.resolution] * 2))
    data = images.astype(np.float32)
    for engine, pair in engines(arguments, data).items():
        for size in BATCH_SIZES:
            single, integer = measured(pair, data[:size], arguments.repeats)
            ratio = spread([fast / slow for slow, fast in zip(single, integer)], ".2f")
            print(
                f"{engine:14}batch {size:3}: single {spread(single)}, int8 {spread(integer)} "
                f"images/s, x {ratio}",
                flush=True,
            )


def engines(arguments: argparse.Namespace, data: Images) -> dict[str, tuple[Predict, Predict]]:
    """What predicts in single precision and in integers, by engine."""
    size = DataConfig(resolution=arguments.resolution)
    network = untrained_network(Config(model=ModelConfig(arguments.width), data=size))
    with tempfile.TemporaryDirectory() as folder:
        single, integer = Path(folder, "single.onnx"), Path(folder, "int8.onnx")
        export_network(network, single, GraphOptions(resolution=arguments.resolution, opset=OPSET))
        integer.write_bytes(quantized(single, data).SerializeToString())
        files = [OnnxModel(path, NUM_THREADS).predict for path in (single, integer)]
    blocks = (
        inference_block(network, mx.cpu()),
        int8_block(symbol_of(network), parameter_arrays(network), data),
    )
    in_mxnet = [lambda batch, block=b: block(mx.nd.array(batch)).asnumpy() for b in blocks]
    return {"ONNX Runtime": tuple(files), "MXNet": tuple(in_mxnet)}


def measured(pair: tuple[Predict, Predict], data: Images, repeats: int) -> list[list[float]]:
    """Images per second of each in `repeats` turns, after one that does not count."""
    rates: list[list[float]] = [[], []]
    for _ in range(repeats + 1):
        for predict, found in zip(pair, rates):
            start = time.perf_counter()
            predict(data)
            found.append(len(data) / (time.perf_counter() - start))
    return [found[1:] for found in rates]


if __name__ == "__main__":
    main()
