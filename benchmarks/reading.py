"""Reading and preprocessing of images: this package's readers against MXNet's ImageRecordIter.

    python benchmarks/reading.py FOLDER [--rounds 5]
    python benchmarks/reading.py FOLDER --resolution 64 --short-side 64 --num-records 10000

The first is for images of full size, as ImageNet's, the second for small ones, as Tiny ImageNet's.
FOLDER holds JPEG files at any depth, `train/CLASS/` for instance; they are packed into a temporary
record file, often enough for a pass of some seconds. Each system runs in a process of its own and
the two take turns, so that whatever else the machine does falls on both; medians over the rounds
are printed.
Of the augmentation policies ImageRecordIter has none: it crops and flips there.
ImageRecordIter runs at its best: on all processors, which it only does for ctx='cpu' and with
OMP_NUM_THREADS set (the package sets it), with its own decoder, augmentation and normalisation.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Callable, Iterator, NamedTuple, get_args

import cv2
import numpy as np

from mobilenet.data.augmentation_policies import Policy
from mobilenet.data.batch_reader import EvalReader, TrainReader
from mobilenet.data.eval_transforms import EvalTransform
from mobilenet.data.record_file import RecordFile, RecordWriter
from mobilenet.data.training_augmentation import TrainTransform

JITTER = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "pca_noise": 0.1}
POLICIES = get_args(Policy)
IMAGENET_255 = dict(
    zip(
        ("mean_r", "mean_g", "mean_b", "std_r", "std_g", "std_b"),
        (123.68, 116.779, 103.939, 58.393, 57.12, 57.375),
    )
)
RANDOM_CROP = {
    "random_resized_crop": True,
    "min_random_area": 0.08,
    "max_random_area": 1.0,
    "min_aspect_ratio": 3 / 4,
    "max_aspect_ratio": 4 / 3,
    "rand_mirror": True,
    "shuffle": True,
}


class Job(NamedTuple):
    """What is read, and how."""

    path: Path
    transform: str
    resolution: int
    short_side: int
    batch_size: int


class Timing(NamedTuple):
    """Of one pass over the records."""

    images_per_second: float
    cpu_seconds_per_image: float


Pass = Callable[[], Iterator[int]]  # gives the sizes of the batches of a pass


def ours(job: Job) -> Pass:
    """This package's readers."""
    records, epochs = RecordFile(job.path), itertools.count()
    if job.transform == "validation":
        transform = EvalTransform("center-crop", job.resolution, job.short_side)
        validation = EvalReader(records, transform, job.batch_size)
        return lambda: (len(batch.labels) for batch in validation.batches())
    fields = {"colour jitter": JITTER, **{policy: {"policy": policy} for policy in POLICIES}}
    more = fields.get(job.transform.partition(", ")[2], {})
    training = TrainReader(records, TrainTransform(job.resolution, **more), job.batch_size, 0)
    return lambda: (len(batch.labels) for batch in training.batches(next(epochs)))


def image_record_iter(job: Job) -> Pass:
    """MXNet's reader."""
    import mxnet as mx  # noqa: PLC0415 - only in the process that needs it

    settings = {
        "validation": {"resize": job.short_side},
        "training, colour jitter": {**RANDOM_CROP, **JITTER},
    }.get(job.transform, RANDOM_CROP)
    batches = mx.io.ImageRecordIter(
        path_imgrec=str(job.path),
        path_imgidx=str(job.path.with_suffix(".idx")),
        data_shape=(3, job.resolution, job.resolution),
        batch_size=job.batch_size,
        ctx="cpu",
        verbose=False,
        **IMAGENET_255,
        **settings,
    )

    def read() -> Iterator[int]:
        batches.reset()
        for batch in batches:
            batch.data[0].wait_to_read()
            yield job.batch_size

    return read


def decoding_only(job: Job) -> Pass:
    """All processors decode and do nothing else: what no reader can exceed."""
    records = RecordFile(job.path)
    cv2.setNumThreads(1)

    def decode(positions: range) -> int:
        for position in positions:
            cv2.imdecode(np.frombuffer(records.image(position), np.uint8), cv2.IMREAD_COLOR)
        return len(positions)

    def read() -> Iterator[int]:
        everything = range(len(records))
        chunks = [everything[start : start + 32] for start in everything[::32]]
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            yield from pool.map(decode, chunks)

    return read


SYSTEMS = {"ours": ours, "ImageRecordIter": image_record_iter, "decoding only": decoding_only}
_open_jobs: dict[Job, Pass] = {}


def measure(system: str, job: Job) -> Timing:
    """Times one pass, in the process that is this system's own."""
    if job not in _open_jobs:
        _open_jobs.clear()
        _open_jobs[job] = SYSTEMS[system](job)
    wall, cpu = time.perf_counter(), time.process_time()
    num_images = sum(_open_jobs[job]())
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Timing(num_images / wall, cpu / num_images)


def peak_memory_mib() -> float:
    """Of this process since its start."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def pack(folder: Path, path: Path, num_records: int) -> None:
    """Packs the images below `folder` in random order, again and again up to `num_records`."""
    images = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpeg", ".jpg"))
    if not images:
        raise SystemExit(f"{folder}: no JPEG files in it")
    np.random.default_rng(0).shuffle(images)
    with RecordWriter(path, path.with_suffix(".idx")) as writer:
        for key in range(num_records):
            writer.write(key, 0, images[key % len(images)].read_bytes())


def compare(pools: dict[str, ProcessPoolExecutor], job: Job, rounds: int) -> None:
    """Times every system in turn and prints medians."""
    timings: dict[str, list[Timing]] = {system: [] for system in pools}
    for number in range(rounds + 1):
        for system, pool in pools.items():
            timing = pool.submit(measure, system, job).result()
            if number:  # the first round warms up
                timings[system].append(timing)
    print(f"{job.transform}, {job.resolution} px, batch {job.batch_size}")
    for system in pools:
        speed, cpu = (statistics.median(values) for values in zip(*timings[system]))
        pairs = list(zip(timings["ours"], timings[system]))
        wall_ratio = statistics.median(a.images_per_second / b.images_per_second for a, b in pairs)
        cpu_ratio = statistics.median(
            b.cpu_seconds_per_image / a.cpu_seconds_per_image for a, b in pairs
        )
        print(f"  {system:16} {speed:7.0f} images/s {cpu * 1e6:6.0f} us of CPU per image", end="")
        print(f"   ours: x {wall_ratio:.2f} in speed, x {cpu_ratio:.2f} per CPU", flush=True)


def main() -> None:
    """Compares the systems as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--resolution", type=int, default=224)
    parser.add_argument("--short-side", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--num-records", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    shape = arguments.resolution, arguments.short_side, arguments.batch_size
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "images.rec"
        pack(arguments.folder, path, arguments.num_records)
        # One process for each, so that neither uses the other's threads or memory.
        pools = {s: ProcessPoolExecutor(1, mp_context=get_context("spawn")) for s in SYSTEMS}
        policies = [f"training, {policy}" for policy in POLICIES]
        for transform in ("training", "training, colour jitter", *policies, "validation"):
            compare(pools, Job(path, transform, *shape), arguments.rounds)
        for system, pool in pools.items():
            print(f"peak memory, {system}: {pool.submit(peak_memory_mib).result():.0f} MiB")
            pool.shutdown()


if __name__ == "__main__":
    main()
