"""A run small enough to be killed many times, with everything random that training has."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mobilenet import settings
from mobilenet.data.record_file import RecordWriter
from mobilenet.packing.drawn_sample import CLASSES, write_sample
from mobilenet.runs.checkpoint import checkpoint_paths
from mobilenet.settings.schema import Config

NUM_EPOCHS, STEPS_PER_EPOCH, BATCH_SIZE = 2, 7, 8

CONFIG = """
model: {width_multiplier: 0.1, classes: 10, dropout: 0.2}
data: {directory: records, resolution: 32, num_workers: 2}
augmentation:
  {brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1, pca_noise: 0.1, random_erasing: 0.5,
   mixup: 0.2, cutmix: 1.0}
validation: {short_side: 32, batch_size: 16}
optimizer: {clip_norm: 5.0}
schedule: {learning_rate: 0.02, warmup_epochs: 0.5}
training: {epochs: 2, batch_size: 8, accumulation: 2, label_smoothing: 0.1, ema_decay: 0.9}
checkpoint: {every_steps: 3}
log: {every_steps: 1}
"""


def write_records(folder: Path, splits: tuple[str, ...] = ("train", "val")) -> None:
    """60 training and 20 validation images of ten classes; other splits are like `val`."""
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as images:
        source = Path(images, "images")
        write_sample(source, num_train_per_class=6, num_val_per_class=2, size=32, seed=0)
        for split in splits:
            kind = "train" if split == "train" else "val"
            paths = sorted((source / kind).rglob("*.jpg"))
            with RecordWriter(folder / f"{split}.rec", folder / f"{split}.idx") as writer:
                for key, path in enumerate(paths):
                    writer.write(key, CLASSES.index(path.parent.name), path.read_bytes())
    (folder / "synset.txt").write_text("".join(f"{name}\n" for name in CLASSES))


def config(records: Path, *overrides: str) -> Config:
    return settings.loads(Config, CONFIG, "tiny", [f"data.directory={records}", *overrides])


def command(folder: Path, run: str, *arguments: str) -> list[str]:
    """What trains in `folder`, which gets the configuration, by the command line."""
    (folder / "tiny.yaml").write_text(CONFIG)
    return [sys.executable, "-m", "mobilenet", "train", "tiny.yaml", "--run", run, *arguments]


# One thread each: a process more or less on the machine does not stop the others at every barrier.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def train(
    folder: Path, run: str, *arguments: str, num_threads: int = 1, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Trains in a process of its own."""
    return subprocess.run(
        command(folder, run, *arguments),
        cwd=folder,
        env={**ENVIRONMENT, "OMP_NUM_THREADS": str(num_threads)},
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def start(
    folder: Path, run: str, *arguments: str, num_threads: int = 1, **options: Any
) -> subprocess.Popen[str]:
    """Starts training in a process of its own."""
    return subprocess.Popen(
        command(folder, run, *arguments),
        cwd=folder,
        env={**ENVIRONMENT, "OMP_NUM_THREADS": str(num_threads)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def digests(run: Path) -> dict[str, str]:
    """The newest checkpoint: the SHA-256 of its arrays, and how far it says it is."""
    newest = checkpoint_paths(run)[-1]
    found = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in newest.glob("*.params")}
    progress = json.loads((newest / "state.json").read_text())["progress"]
    return {**found, "name": newest.name, "progress": json.dumps(progress)}


def events(run: Path) -> list[dict[str, Any]]:
    """The whole records of the log."""
    lines = (run / "log.jsonl").read_text().splitlines() if (run / "log.jsonl").exists() else []
    # A process that is killed while it writes a line leaves a part of it.
    return [json.loads(line) for line in lines if line.endswith("}")]


def last_step(run: Path) -> int:
    """The newest step in the log."""
    return max((record.get("step", 0) for record in events(run)), default=0)


def train_with_kills(folder: Path, run: str, steps: tuple[int, ...], *arguments: str) -> None:
    """Trains to the end, killed after each of `steps` and resumed."""
    resume: tuple[str, ...] = ()
    for step in steps:
        child = start(folder, run, *arguments, *resume)
        while child.poll() is None and last_step(folder / run) <= step:
            time.sleep(0.001)
        child.kill()
        child.communicate()
        assert child.returncode == -signal.SIGKILL
        resume = ("--resume",)
    done = train(folder, run, *arguments, "--resume")
    assert done.returncode == 0, done.stderr
