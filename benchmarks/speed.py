"""Training steps and inference: this package against the loops that others write, side by side.

    python benchmarks/speed.py train [--batch 32] [--size 224] [--rounds 5] [--torch PYTHON]
    python benchmarks/speed.py infer [--batch 1] ...

Every system runs in a process of its own that ends before the next begins: MobileNet v2 1.0 with
1000 classes on random images and labels, all processors. In each round every system has its turn,
so that whatever else the machine does falls on all; speeds and ratios are medians over the rounds,
with quartiles in parentheses. The memory is the peak of the whole process, libraries included.

* ours: what `mobilenet bench` measures; with `infer` also in 8-bit integers, with `train` also in
  bfloat16 where the processor has it.
* plain Gluon: gluoncv's network, hybridized with static memory, Gluon's NAG; all processors.
* gluoncv's loop (train): the steps of its train_imagenet.py, metrics included; the number of
  threads is left to MXNet, as there.
* ONNX Runtime (infer): the file that this package exports.
* PyTorch (where PYTHON has torch, numpy and opencv): `benchmarks/torch_speed.py`; in single
  precision and in bfloat16 by autocast, both in channels-last layout.
"""

from __future__ import annotations

import argparse
import builtins
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, NamedTuple

import numpy as np
from header import header, spread
from torch_python import HELP, torch_python

NUM_PROCESSORS = len(os.sched_getaffinity(0))
SETTINGS = ("OMP_NUM_THREADS", "DNNL_MAX_CPU_ISA")


class Job(NamedTuple):
    """What one process does: steps of a batch, of which the first are not counted."""

    batch: int
    size: int
    repeats: int
    num_warm_up: int = 2


class Result(NamedTuple):
    """Of one process: median seconds of a step, and its peak memory."""

    seconds: float
    peak_bytes: int


Step = Callable[[], object]  # waits until it is done


def ours_train(job: Job, precision: str = "float32") -> Step:
    """This package's training step."""
    from mobilenet.bench import Work, random_batch, take_step
    from mobilenet.training.build import learner as new_learner

    work = Work(job.batch, job.size, precision=precision)
    learner, batch = new_learner(work.config()), random_batch(work)
    return lambda: take_step(learner, batch, 0)


def ours_bfloat16(job: Job) -> Step:
    """The same in bfloat16."""
    return ours_train(job, "bfloat16")


def ours_infer(job: Job) -> Step:
    """This package's inference."""
    from mobilenet.inference.naive_engine import load_for_inference

    load_for_inference()
    from mobilenet.bench import Work, untrained_predictor

    predict = untrained_predictor(Work(job.batch, job.size))
    images = random_images(job)
    return lambda: predict(images)


def ours_int8(job: Job) -> Step:
    """The same in 8-bit integers."""
    from mobilenet.compat.environment import allow_all_instructions
    from mobilenet.inference.naive_engine import load_for_inference

    allow_all_instructions()
    load_for_inference()
    import mxnet as mx

    from mobilenet.bench import Work
    from mobilenet.export.to_onnx import untrained_network
    from mobilenet.network.architecture import parameter_arrays
    from mobilenet.network.graph_forms import symbol_of
    from mobilenet.network.mxnet_int8 import int8_block

    network = untrained_network(Work(job.batch, job.size).config())
    images = random_images(job)
    block = int8_block(symbol_of(network), parameter_arrays(network), random_images(job, 10))
    return lambda: block(mx.nd.array(images)).asnumpy()


def onnx_runtime(job: Job) -> Step:
    """ONNX Runtime on an exported file."""
    from mobilenet.bench import Work
    from mobilenet.export.to_onnx import export_untrained
    from mobilenet.onnx.runtime import OnnxModel

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_untrained(Work(job.batch, job.size).config(), path)
        model = OnnxModel(path, NUM_PROCESSORS)
    images = random_images(job).astype(model.dtype)
    return lambda: model.predict(images)


def plain_train(job: Job) -> Step:
    """The training step of the tutorials."""
    mx, network = gluon_network()
    network.hybridize(static_alloc=True, static_shape=True)
    trainer = mx.gluon.Trainer(network.collect_params(), "nag", nag_settings())
    loss_of = mx.gluon.loss.SoftmaxCrossEntropyLoss()
    data, labels = mx.nd.array(random_images(job)), mx.nd.array(random_labels(job))

    def step() -> None:
        with mx.autograd.record():
            loss = loss_of(network(data), labels)
        loss.backward()
        trainer.step(job.batch)
        mx.nd.waitall()

    return step


def gluoncv_train(job: Job) -> Step:
    """The steps of gluoncv's scripts/classification/imagenet/train_imagenet.py, on the CPU."""
    mx, network = gluon_network()
    network.hybridize(static_alloc=True, static_shape=True)
    trainer = mx.gluon.Trainer(network.collect_params(), "nag", nag_settings())
    loss_of = mx.gluon.loss.SoftmaxCrossEntropyLoss()
    metric, devices = mx.metric.Accuracy(), [mx.cpu()]
    images, answers = mx.nd.array(random_images(job)), mx.nd.array(random_labels(job))

    def step() -> None:
        data = mx.gluon.utils.split_and_load(images, ctx_list=devices, batch_axis=0)
        labels = mx.gluon.utils.split_and_load(answers, ctx_list=devices, batch_axis=0)
        with mx.autograd.record():
            outputs = [network(part.astype("float32", copy=False)) for part in data]
            losses = [loss_of(output, label) for output, label in zip(outputs, labels)]
        for loss in losses:
            loss.backward()
        trainer.step(job.batch)
        metric.update(labels, outputs)
        mx.nd.waitall()

    return step


def plain_infer(job: Job) -> Step:
    """The inference of the tutorials."""
    mx, network = gluon_network()
    network.hybridize(static_alloc=True, static_shape=True)
    images = random_images(job)
    return lambda: network(mx.nd.array(images)).asnumpy()


def gluon_network():
    """MXNet without this package, and gluoncv's network."""
    for name in ("bool", "int", "float", "object", "str", "complex"):
        setattr(np, name, getattr(builtins, name))  # MXNet does not load without
    import mxnet as mx
    from gluoncv.model_zoo import get_model

    network = get_model("mobilenetv2_1.0")
    network.initialize(mx.init.MSRAPrelu())
    return mx, network


def nag_settings() -> dict[str, float]:
    """The optimizer of all systems."""
    return {"learning_rate": 0.01, "momentum": 0.9, "wd": 4e-5}


def random_images(job: Job, num_images: int = 0) -> np.ndarray:
    """Normalised images."""
    shape = (num_images or job.batch, 3, job.size, job.size)
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def random_labels(job: Job) -> np.ndarray:
    """With constant ones, gradients become denormal numbers, which slow every system down."""
    return np.random.default_rng(1).integers(0, 1000, job.batch)


OURS_BFLOAT16 = "ours, bfloat16"
SYSTEMS: dict[str, dict[str, Callable[[Job], Step]]] = {
    "train": {
        "ours": ours_train,
        OURS_BFLOAT16: ours_bfloat16,
        "plain Gluon": plain_train,
        "gluoncv's loop": gluoncv_train,
    },
    "infer": {
        "ours": ours_infer,
        "ours, int8": ours_int8,
        "plain Gluon": plain_infer,
        "ONNX Runtime": onnx_runtime,
    },
}
TORCH = ("PyTorch float32", "PyTorch bfloat16")
# Others see all processors too, but for the loop that leaves their number to MXNet.
THREADS = {"OMP_NUM_THREADS": str(NUM_PROCESSORS)}
ENVIRONMENTS = {"ours": {}, OURS_BFLOAT16: {}, "ours, int8": {}, "gluoncv's loop": {}}


def measure(step: Step, job: Job) -> Result:
    """Takes the steps of this process."""
    seconds = []
    for _ in range(job.num_warm_up + job.repeats):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Result(statistics.median(seconds[job.num_warm_up :]), peak)


def run(mode: str, system: str, job: Job, torch: str | None) -> Result:
    """The result of a system in a new process."""
    if system in TORCH:
        script, python = Path(__file__).with_name("torch_speed.py"), torch
    else:
        script, python = Path(__file__), sys.executable
    environment = {n: v for n, v in os.environ.items() if n not in SETTINGS}
    environment.update(ENVIRONMENTS.get(system, THREADS))
    environment["PYTHONPATH"] = str(Path(__file__).parent.parent)
    call = [str(python), "-W", "ignore", str(script), "one", mode, system, json.dumps(job)]
    done = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return Result(*json.loads(done.stdout.splitlines()[-1]))


def compare(mode: str, job: Job, rounds: int, torch: str | None) -> None:
    """Prints the medians of every system, and how many times faster and smaller ours is."""
    systems = [*SYSTEMS[mode], *(TORCH if torch else ())]
    if OURS_BFLOAT16 in systems and " avx512_bf16 " not in Path("/proc/cpuinfo").read_text():
        systems.remove(OURS_BFLOAT16)
    results: dict[str, list[Result]] = {system: [] for system in systems}
    for _ in range(rounds):
        for system in systems:
            results[system].append(run(mode, system, job, torch))
    print(header())
    print(f"{mode}, {job.size} px, batch {job.batch}, {NUM_PROCESSORS} processors, {rounds} rounds")
    for system in systems:
        rates = [job.batch / result.seconds for result in results[system]]
        pairs = list(zip(results["ours"], results[system]))
        speed = spread([other.seconds / own.seconds for own, other in pairs], ".2f")
        memory = statistics.median(own.peak_bytes / other.peak_bytes for own, other in pairs)
        peak = statistics.median(result.peak_bytes for result in results[system])
        print(
            f"  {system:17}{spread(rates):>24} images/s  {peak / 1e9:5.2f} GB"
            f"   ours: x {speed} in speed, x {memory:.2f} of the memory",
            flush=True,
        )


def main() -> None:
    """Compares the systems, or is one of them."""
    if sys.argv[1:2] == ["one"]:
        mode, system, job = sys.argv[2], sys.argv[3], Job(*json.loads(sys.argv[4]))
        print(json.dumps(measure(SYSTEMS[mode][system](job), job)))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mode", choices=SYSTEMS)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=5, help="steps of a process (5)")
    parser.add_argument("--torch", type=torch_python, metavar="PYTHON", help=HELP)
    arguments = parser.parse_args()
    job = Job(arguments.batch, arguments.size, arguments.repeats)
    compare(arguments.mode, job, arguments.rounds, arguments.torch)


if __name__ == "__main__":
    main()
