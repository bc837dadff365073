"""Validation from record file to counts: this package against loops as others write them.

    python benchmarks/validation.py WEIGHTS RECORDS [--torch PYTHON] [--rounds 5]

WEIGHTS is a .params file in the names of gluoncv's mobilenetv2_1.0, RECORDS a record file. Every
system runs in a process of its own, and they take turns; medians over the rounds are printed, with
the quartiles in parentheses.

* ours: `mobilenet.validation.validate.validate`.
* plain Gluon: gluoncv's network, hybridized, on ImageRecordIter at its defaults; of the processors
  each of them takes what it takes by itself.
* plain Gluon, all processors: the same with OMP_NUM_THREADS set, and `ctx='cpu'` for the reader.
* PyTorch (where PYTHON, an interpreter, has torch, numpy and opencv): the same network with
  BatchNorm folded, as TorchScript optimised for inference, in channels-last or the usual layout,
  whichever is faster; a DataLoader with a worker per processor prepares the same pixels by OpenCV.
"""

from __future__ import annotations

import argparse
import builtins
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, NamedTuple

import numpy as np
from header import header, spread
from torch_python import HELP, torch_python

CONFIG = {
    "model": {"dialect": "gluoncv"},
    "data": {"resolution": 225, "mean": [0.5] * 3, "std": [0.5] * 3},
    "validation": {"short_side": 257},
}
NUM_PROCESSORS = len(os.sched_getaffinity(0))


class Job(NamedTuple):
    """What is validated; the last two are the short side and the crop in pixels."""

    weights: str
    records: str
    arrays: str
    batch_size: int
    short_side: int = 257
    resolution: int = 225


Pass = Callable[[], "tuple[int, int]"]  # images and right answers of one pass


def ours(job: Job) -> Pass:
    """This package."""
    from mobilenet.inference.naive_engine import load_for_inference

    load_for_inference()
    from mobilenet.inference.open_model import open_model
    from mobilenet.validation.validate import validate

    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        json.dump(CONFIG, config)  # which is YAML
        config.flush()
        batch = f"validation.batch_size={job.batch_size}"
        model = open_model(Path(job.weights), Path(config.name), [batch])

    def run() -> tuple[int, int]:
        counts = validate(model, Path(job.records)).counts
        return counts.num_images, counts.num_top1

    return run


def plain_gluon(job: Job, **reader: Any) -> Pass:
    """The loop of the tutorials."""
    for name in ("bool", "int", "float", "object", "str", "complex"):
        setattr(np, name, getattr(builtins, name))  # MXNet does not load without
    import mxnet as mx
    from gluoncv.model_zoo import get_model

    network = get_model("mobilenetv2_1.0")
    network.load_parameters(job.weights)
    network.hybridize()
    colours = {f"{kind}_{c}": 127.5 for kind in ("mean", "std") for c in "rgb"}
    batches = mx.io.ImageRecordIter(
        path_imgrec=job.records,
        data_shape=(3, job.resolution, job.resolution),
        batch_size=job.batch_size,
        resize=job.short_side,
        **colours,
        **reader,
    )

    def run() -> tuple[int, int]:
        batches.reset()
        top1, top5 = mx.metric.Accuracy(), mx.metric.TopKAccuracy(5)
        for batch in batches:
            outputs = network(batch.data[0].as_in_context(mx.cpu()))
            top1.update(batch.label[0], outputs)
            top5.update(batch.label[0], outputs)
        return top1.num_inst, int(top1.sum_metric)

    return run


def plain_gluon_on_all_processors(job: Job) -> Pass:
    """The same with all that the machine has."""
    return plain_gluon(job, ctx="cpu")


def pytorch(job: Job) -> Pass:
    """A loop over a DataLoader."""
    import torch
    from torch_mobilenet import fastest, load_network, loader

    torch.set_num_threads(NUM_PROCESSORS)
    network = load_network(np.load(job.arrays))
    example = torch.zeros(job.batch_size, 3, job.resolution, job.resolution)
    network, layout = fastest(network, example)
    batches = loader(job, NUM_PROCESSORS)

    def run() -> tuple[int, int]:
        num_images = num_top1 = 0
        with torch.inference_mode():
            for images, labels in batches:
                outputs = network(images.contiguous(memory_format=layout))
                best = outputs.topk(5).indices
                num_top1 += int((best[:, 0] == labels).sum())
                num_images += len(labels)
        return num_images, num_top1

    return run


SYSTEMS = {
    "ours": ours,
    "plain Gluon": plain_gluon,
    "plain Gluon, all processors": plain_gluon_on_all_processors,
    "PyTorch": pytorch,
}


class Worker:
    """A process that makes a pass over the records whenever it is asked to."""

    def __init__(self, python: str, system: str, job: Job) -> None:
        environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
        if system == "plain Gluon, all processors":
            environment["OMP_NUM_THREADS"] = str(NUM_PROCESSORS)
        environment["PYTHONPATH"] = str(Path(__file__).parent.parent)
        command = [python, "-W", "ignore", __file__, "--serve", system, json.dumps(job)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def measure(self) -> tuple[float, int, int]:
        """Images per second, images, and right answers of a pass."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write("pass\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a process ended with {self._process.wait()}")
        speed, num_images, num_top1 = json.loads(line)
        return speed, num_images, num_top1

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate(timeout=60)


def serve(system: str, job: Job) -> None:
    """What a worker does: a pass for each line that comes."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints
    run = SYSTEMS[system](job)
    for _ in sys.stdin:
        start = time.perf_counter()
        num_images, num_top1 = run()
        seconds = time.perf_counter() - start
        print(json.dumps([num_images / seconds, num_images, num_top1]), file=answers, flush=True)


def compare(workers: dict[str, Worker], rounds: int) -> None:
    """Lets the systems take turns and prints medians."""
    found: dict[str, list[tuple[float, int, int]]] = {system: [] for system in workers}
    for number in range(rounds + 1):
        for system, worker in workers.items():
            measured = worker.measure()
            if number:  # the first round warms up
                found[system].append(measured)
    for system, rows in found.items():
        speed = spread([row[0] for row in rows], ".0f")
        ratio = spread([a[0] / b[0] for a, b in zip(found["ours"], rows)], ".2f")
        _, num_images, num_top1 = rows[-1]
        print(
            f"{system:28} {speed:>17} images/s   ours: x {ratio}   "
            f"({num_top1} right of {num_images} counted)",
            flush=True,
        )


def main() -> None:
    """Compares the systems as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("records", type=Path)
    parser.add_argument("--torch", type=torch_python, metavar="PYTHON", help=HELP)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(header(), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        arrays = Path(scratch) / "arrays.npz"
        save_arrays(arguments.weights, arrays)
        paths = (path.resolve() for path in (arguments.weights, arguments.records, arrays))
        job = Job(*map(str, paths), arguments.batch_size)
        pythons = dict.fromkeys(SYSTEMS, sys.executable)
        pythons["PyTorch"] = arguments.torch
        workers = {s: Worker(python, s, job) for s, python in pythons.items() if python}
        compare(workers, arguments.rounds)
        for worker in workers.values():
            worker.close()


def save_arrays(weights: Path, path: Path) -> None:
    """Writes the parameters for a process without MXNet, in their order."""
    from mobilenet.network.params_file import read_arrays

    np.savez(path, **{name: array.asnumpy() for name, array in read_arrays(weights).items()})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2], Job(*json.loads(sys.argv[3])))
    else:
        main()
