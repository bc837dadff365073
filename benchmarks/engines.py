"""When another engine than MXNet pays: seconds to the first answer, and for each image after it.

    python benchmarks/engines.py [--width 1.0] [--size 224] [--batch 1] [--rounds 5]

A network of random weights, which change no speed, is run by each engine in a process of its own:
MXNet as `predict` loads it, ONNX Runtime and, where it is installed, OpenVINO. The first answer
includes what comes before it: MXNet fuses the graph, the others are given it as ONNX. In each round
every engine has its turn. Printed are medians over the rounds, by the wall and in processor time
(which a busy machine hardly changes), and the number of images from which on the engine takes
less processor time than MXNet.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from typing import Any, Callable

import numpy as np
from header import header

NUM_MORE = 30
Times = list[tuple[float, float]]


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """By the wall, and of this process's processors."""
    start, before = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - before


def one(engine: Any, width: float, size: int, batch: int) -> Times:
    """Of the first answer, and of an image after it."""
    from mobilenet.inference.naive_engine import load_for_inference  # noqa: PLC0415

    load_for_inference()
    from mobilenet import build  # noqa: PLC0415
    from mobilenet.export.to_onnx import untrained_network  # noqa: PLC0415
    from mobilenet.inference.network_as_onnx import network_as_onnx  # noqa: PLC0415
    from mobilenet.inference.other_engines import onnx_by  # noqa: PLC0415
    from mobilenet.settings.schema import Config, DataConfig, ModelConfig  # noqa: PLC0415

    config = Config(model=ModelConfig(width), data=DataConfig(resolution=size))
    network = untrained_network(config)
    images = np.random.default_rng(0).standard_normal((batch, 3, size, size)).astype(np.float32)
    found: list[Any] = []

    def first() -> None:
        if engine == "mxnet":
            found.append(build.predictor(network, build.contexts(config)))
        else:
            from pathlib import Path  # noqa: PLC0415

            found.append(onnx_by(engine, Path("net"), network_as_onnx(network)).logits)
        found[0](images)

    def more() -> None:
        for _ in range(NUM_MORE):
            found[0](images)

    start, rest = seconds(first), seconds(more)
    return [start, (rest[0] / NUM_MORE / batch, rest[1] / NUM_MORE / batch)]


def run(engine: str, arguments: argparse.Namespace) -> Times:
    """The same in a new process."""
    words = (engine, arguments.width, arguments.size, arguments.batch)
    call = [sys.executable, "-W", "ignore", __file__, "one", *map(str, words)]
    done = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Compares the engines, or measures one of them."""
    if sys.argv[1:2] == ["one"]:
        engine, width, size, batch = sys.argv[2:]
        print(json.dumps(one(engine, float(width), int(size), int(batch))))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    engines = ["mxnet", "onnxruntime"]
    if importlib.util.find_spec("openvino") is not None:
        engines += ["openvino", "openvino-bfloat16"]
    rounds = [[run(engine, arguments) for engine in engines] for _ in range(arguments.rounds)]
    print(header())
    medians = {
        engine: np.median([turn[k] for turn in rounds], axis=0) for k, engine in enumerate(engines)
    }
    for k, engine in enumerate(engines):
        (first, first_busy), (image, image_busy) = 1000 * medians[engine]
        speed = statistics.median(turn[0][1][1] / turn[k][1][1] for turn in rounds)
        print(
            f"{engine:18} first answer {first:7.1f} ms ({first_busy:6.1f} of processor time), then"
            f" {image:6.2f} ms ({image_busy:5.2f}) per image, x {speed:.2f}{pays(engine, medians)}",
            flush=True,
        )


def pays(engine: str, medians: dict[str, Any]) -> str:
    """From how many images on the engine takes less processor time than MXNet."""
    late, saved = np.subtract(medians[engine], medians["mxnet"])[:, 1] * (1, -1)
    if engine == "mxnet":
        return ""
    return f"; ahead from {max(1, round(late / saved))} images on" if saved > 0 else "; never ahead"


if __name__ == "__main__":
    main()
