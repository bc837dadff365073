"""Compares programs that run an exported file on phones, boards and CPUs: size, latency, outputs.

    python benchmarks/phone_readers.py [MODEL.onnx] [--threads 1] [--repeats 30]

Without MODEL it exports a network of random weights, width 1.0 at 224 px. Each program computes
one image at a time; they take turns, so that a busy machine slows all of them. It prints medians
with quartiles in parentheses, and the largest difference from ONNX Runtime's outputs of the .onnx
file, as a fraction of the largest output. Programs that are not installed are left out: openvino,
and ncnn with pnnx (`pip install --no-deps pnnx`).
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, NamedTuple

import cv2
import numpy as np
from header import header, spread

from mobilenet.export.ort_format import write_ort
from mobilenet.export.to_onnx import export_untrained, options_for
from mobilenet.onnx.example_images import random_images
from mobilenet.onnx.runtime import OnnxModel
from mobilenet.settings.schema import Config

Run = Callable[[Any], Any]
"""From one image (1, 3, H, W), as the file takes it, to outputs (1, classes)."""


class Reader(NamedTuple):
    """A program that has read the file."""

    num_bytes: int
    run: Run


def main() -> None:
    """Prints a line for each program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=30)
    arguments = parser.parse_args()
    print(header(), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = (
            arguments.model
            or export_untrained(Config(), folder / "net.onnx", options_for(Config())).path
        )
        model = OnnxModel(path)
        height, width = model.resolution or (224, 224)
        pixels = random_images(1, (height, width), 0)
        is_normalised = model.metadata.pixels == "normalised"
        image = (pixels.astype(np.float32) - 127) / 60 if is_normalised else pixels
        readers = found(path, folder, arguments.threads)
        report(readers, image.astype(model.dtype), arguments.repeats)


def found(path: Path, folder: Path, threads: int) -> dict[str, Reader]:
    """The programs that are installed."""
    readers: dict[str, Reader | None] = {"ONNX Runtime, .onnx": onnx_runtime(path, threads)}
    write_ort(path, folder / "net.ort")
    readers["ONNX Runtime, .ort"] = onnx_runtime(folder / "net.ort", threads)
    readers["OpenCV"] = opencv(path, threads)
    if importlib.util.find_spec("openvino") is not None:
        readers["OpenVINO"] = openvino(path, threads)
    if importlib.util.find_spec("ncnn") and importlib.util.find_spec("pnnx"):
        readers["ncnn"] = ncnn(path, folder, threads)
    return {name: reader for name, reader in readers.items() if reader is not None}


def onnx_runtime(path: Path, threads: int) -> Reader:
    """ONNX Runtime."""
    return Reader(path.stat().st_size, OnnxModel(path, threads).predict)


def opencv(path: Path, threads: int) -> Reader:
    """OpenCV's DNN."""
    cv2.setNumThreads(threads)
    network = cv2.dnn.readNetFromONNX(str(path))

    def run(image: Any) -> Any:
        network.setInput(image.astype(np.float32))
        return network.forward()

    return Reader(path.stat().st_size, run)


def openvino(path: Path, threads: int) -> Reader:
    """OpenVINO on the CPU, in single precision."""
    import openvino as ov  # noqa: PLC0415

    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    model = ov.Core().compile_model(str(path), "CPU", options)
    return Reader(path.stat().st_size, lambda image: model(image)[0])


def ncnn(path: Path, folder: Path, threads: int) -> Reader | None:
    """Ncnn, with the conversion of pnnx, in single precision; None if it refuses that."""
    import ncnn  # noqa: PLC0415

    spec = importlib.util.find_spec("pnnx")
    assert spec is not None
    assert spec.origin is not None
    copy = folder / "ncnn.onnx"
    copy.write_bytes(path.read_bytes())
    height, width = OnnxModel(path).resolution or (224, 224)
    shape = f"inputshape=[1,3,{height},{width}]"
    call = [str(Path(spec.origin).with_name("pnnx")), str(copy), shape, "fp16=0"]
    subprocess.run(call, cwd=folder, check=True, capture_output=True)
    network = ncnn.Net()
    network.opt.num_threads = threads
    for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic"):
        setattr(network.opt, name, False)
    parts = [folder / "ncnn.ncnn.param", folder / "ncnn.ncnn.bin"]
    if network.load_param(str(parts[0])) or network.load_model(str(parts[1])):
        print("ncnn does not read this file")
        return None

    def run(image: Any) -> Any:
        extractor = network.create_extractor()
        extractor.input("in0", ncnn.Mat(np.ascontiguousarray(image[0])).clone())
        return np.array(extractor.extract("out0")[1]).reshape(1, -1)

    return Reader(sum(part.stat().st_size for part in parts), run)


def report(readers: dict[str, Reader], image: Any, repeats: int) -> None:
    """Lets the programs take turns, and prints what they took."""
    outputs = {name: np.asarray(reader.run(image)) for name, reader in readers.items()}
    expected = next(iter(outputs.values()))
    times: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(repeats):
        for name, reader in readers.items():
            start = time.perf_counter()
            reader.run(image)
            times[name].append(1000 * (time.perf_counter() - start))
    for name, reader in readers.items():
        difference = np.abs(outputs[name] - expected).max() / np.abs(expected).max()
        print(
            f"{name:20} {reader.num_bytes:11,} bytes  {spread(times[name])} ms"
            f"  differs by {difference:.1e}"
        )


if __name__ == "__main__":
    main()
