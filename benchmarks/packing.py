"""Compares `mobilenet prepare` with MXNet's im2rec, side by side: speed and peak memory.

    python benchmarks/packing.py FOLDER [--copies 20] [--repeats 5] [--short-sides 480 256]
    python benchmarks/packing.py FOLDER --short-sides 32

The first is for images of full size, as ImageNet's, the second for those of 64 px, as Tiny
ImageNet's. FOLDER holds JPEGs in class folders, by themselves or below `train` and the like. Every
image is packed `copies` times, and a tenth as often, which shows whether the memory grows with the
data. Both work on all processors, as whole commands from their start to their end (im2rec's two:
list, then pack), in turns; the medians of the repeats are compared. im2rec stores bytes without
looking at them, ours decodes every image in both modes.

It also measures what the decoding that checks an image costs (`conversion._CHECK_FLAGS`).
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

NUM_PROCESSORS = len(os.sched_getaffinity(0))
# im2rec imports MXNet, which needs the repair that this package makes.
IM2REC = "import mobilenet, runpy; runpy.run_module('mxnet.tools.im2rec', run_name='__main__')"
OURS = (
    "import sys; from pathlib import Path; from mobilenet.packing.prepare import *; "
    "s, o, n = sys.argv[1:]; prepare(PrepareOptions(Path(s), Path(o), short_side=int(n) or None))"
)


class Cost(NamedTuple):
    """Of one or more commands."""

    seconds: float
    processor_seconds: float
    peak_bytes: int


def main() -> None:
    """Runs the comparison and prints ratios; above 1 means that ours is better."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--copies", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--short-sides", type=int, nargs="*", default=[480, 256])
    arguments = parser.parse_args()
    compare_checks(jpegs(arguments.folder)[:300], arguments.repeats)
    for copies in sorted({max(1, arguments.copies // 10), arguments.copies}):
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as scratch:
            source = Path(scratch) / "source"
            num_images = copy_images(arguments.folder, source, copies)
            print(f"{num_images} images, {NUM_PROCESSORS} processors")
            for short_side in (0, *arguments.short_sides):
                compare(source, short_side, arguments.repeats)


def jpegs(folder: Path) -> list[Path]:
    """The JPEG files below `folder`."""
    images = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpeg", ".jpg"))
    if not images:
        raise SystemExit(f"{folder}: no JPEG files in it")
    return images


def copy_images(folder: Path, source: Path, copies: int) -> int:
    """Makes class folders in `source` of all images below `folder`; gives how many images."""
    images = jpegs(folder)
    for image in images:
        # One folder for each of train/n01440764, val/n01440764, so that no name comes twice.
        target = source / "_".join(image.parent.relative_to(folder).parts)
        target.mkdir(parents=True, exist_ok=True)
        content = image.read_bytes()
        for copy in range(copies):
            (target / f"{copy}_{image.name}").write_bytes(content)
    return len(images) * copies


def compare_checks(images: list[Path], repeats: int) -> None:
    """Prints how long decodings take that tell whether an image is sound."""
    contents = [np.frombuffer(path.read_bytes(), np.uint8) for path in images]
    kinds = {
        "full size": cv2.IMREAD_COLOR,
        "an eighth, in colour": cv2.IMREAD_REDUCED_COLOR_8,
        "an eighth, in gray": cv2.IMREAD_REDUCED_GRAYSCALE_8,
    }
    cv2.setNumThreads(0)
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(repeats):
        for kind, flags in kinds.items():
            start = time.process_time()
            for content in contents:
                cv2.imdecode(content, flags)
            seconds[kind].append(time.process_time() - start)
    whole = statistics.median(seconds["full size"])
    for kind, those in seconds.items():
        print(f"decoding {kind}: {statistics.median(those) / whole:.2f} of the full decoding")


def compare(source: Path, short_side: int, repeats: int) -> None:
    """Prints the ratios of im2rec's time and memory to ours; 0 keeps the images as they are."""
    costs: dict[str, list[Cost]] = {"ours": [], "im2rec": []}
    for _ in range(repeats):
        for name, commands in (
            ("ours", [ours(source, short_side)]),
            ("im2rec", im2rec(source, short_side)),
        ):
            with tempfile.TemporaryDirectory(dir=source.parent) as output:
                costs[name].append(measured(commands, Path(output)))
    medians = {
        name: Cost(*(statistics.median(values) for values in zip(*those)))
        for name, those in costs.items()
    }
    seconds, work, _ = (a / b for a, b in zip(medians["im2rec"], medians["ours"]))
    mebibytes = {name: cost.peak_bytes / 2**20 for name, cost in medians.items()}
    title = f"short side {short_side}" if short_side else "as they are"
    print(
        f"{title}: {seconds:.2f} times im2rec's speed; im2rec takes {work:.2f} times our processor "
        f"time; peak memory {mebibytes['ours']:.0f} MiB, im2rec's {mebibytes['im2rec']:.0f} MiB",
        flush=True,
    )


def ours(source: Path, short_side: int) -> list[str]:
    """The command that prepares `source` into the folder OUTPUT."""
    return [sys.executable, "-c", OURS, str(source), "OUTPUT/records", str(short_side)]


def im2rec(source: Path, short_side: int) -> list[list[str]]:
    """The commands of im2rec that do the same."""
    mode = ["--resize", str(short_side)] if short_side else ["--pass-through"]
    base = [sys.executable, "-W", "ignore", "-c", IM2REC]
    return [
        [*base, "--list", "--recursive", "OUTPUT/train", str(source)],
        [*base, *mode, "--num-thread", str(NUM_PROCESSORS), "OUTPUT/train", str(source)],
    ]


def measured(commands: list[list[str]], output: Path) -> Cost:
    """Runs the commands one after the other."""
    start, before, peak = time.monotonic(), used_processor_seconds(), 0
    for command in commands:
        process = subprocess.Popen(
            [argument.replace("OUTPUT", str(output)) for argument in command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while process.poll() is None:
            peak = max(peak, session_bytes(process.pid))
            time.sleep(0.05)
        if process.returncode:
            raise SystemExit(f"{command} ended with {process.returncode}")
    return Cost(time.monotonic() - start, used_processor_seconds() - before, peak)


def used_processor_seconds() -> float:
    """Of all processes so far that have ended and that this one started, or these did."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def session_bytes(session: int) -> int:
    """Memory of all processes of a session; shared pages count once (proportional set size)."""
    return sum(process_bytes(folder, session) for folder in Path("/proc").glob("[0-9]*"))


def process_bytes(folder: Path, session: int) -> int:
    """Memory of the process at `folder` in /proc, if it is of the session and still there."""
    try:
        if os.getsid(int(folder.name)) == session:
            return 1024 * int((folder / "smaps_rollup").read_text().split("\nPss:")[1].split()[0])
    except (OSError, IndexError):
        pass
    return 0


if __name__ == "__main__":
    main()
