"""Measures fine-tuning on few images: configs/finetune.yaml against others, by images per class.

    python benchmarks/few_images.py TINY.tar WEIGHTS.params [--images 30] [key=value ...]

TINY.tar is tiny-imagenet-20.tar of docs/results.md: `train/<class>/` and `val/<class>/`. Of each
class the first images are taken, and all 50 for validation. Weights from TensorFlow need
`data.mean=[0.5,0.5,0.5] data.std=[0.5,0.5,0.5]`. One line per row and seed: top-1 of the best
epoch, which a run keeps, and of the last one; then the means.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tarfile
import tempfile
from collections import defaultdict
from pathlib import Path, PurePosixPath
from statistics import mean

import mobilenet  # noqa: F401  # isort: skip  makes MXNet importable
from header import header

from mobilenet import settings
from mobilenet.packing.prepare import PrepareOptions, prepare
from mobilenet.settings.schema import Config
from mobilenet.training.training_run import train

NUM_VAL = 50
RECIPE = Path(__file__).parent.parent / "configs" / "finetune.yaml"
ROWS = {
    "recipe": (),
    "classifier alone": ("training.frozen_stages=9",),
    "first recipe": (
        "training.frozen_stages=2",
        "schedule.learning_rate=0.01",
        "training.batch_size=64",
        "training.epochs=5",
        "training.min_steps=0",
    ),
}


def main() -> None:
    """Prints the top-1 accuracies of every row and seed, and their means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tar", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--images", type=int, default=30, help="per class, for training")
    parser.add_argument("--classes", type=int, default=6, help="evenly from all of the tar")
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2))
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("settings", nargs="*", metavar="key=value")
    arguments, rest = parser.parse_known_args()
    arguments.settings += rest
    print(header(), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        photos, records = Path(scratch, "photos"), Path(scratch, "records")
        unpack(arguments.tar, photos, arguments.images, arguments.classes)
        prepare(PrepareOptions(photos, records))
        for row in arguments.rows:
            print_row(row, arguments, records, Path(scratch, "run"))


def unpack(tar: Path, folder: Path, num_images: int, num_classes: int) -> None:
    """Takes the first images of some classes, whose folders get names that are no WordNet ids."""
    with tarfile.open(tar) as opened:
        members: dict[tuple[str, str], list[tarfile.TarInfo]] = defaultdict(list)
        for member in opened:
            parts = PurePosixPath(member.name).parts
            if member.isfile() and parts[0] in ("train", "val"):
                members[parts[0], parts[1]].append(member)
        names = sorted({name for _, name in members})
        for name in names[:: len(names) // num_classes][:num_classes]:
            for split, number in (("train", num_images), ("val", NUM_VAL)):
                place = folder / split / f"class-{name}"
                place.mkdir(parents=True)
                for member in sorted(members[split, name], key=lambda one: one.name)[:number]:
                    content = opened.extractfile(member)
                    assert content is not None
                    (place / PurePosixPath(member.name).name).write_bytes(content.read())


def print_row(row: str, arguments: argparse.Namespace, records: Path, run: Path) -> None:
    """Trains with every seed."""
    results = []
    for seed in arguments.seeds:
        given = [
            f"data.directory={records}",
            f"training.initial_weights={arguments.weights.absolute()}",
            f"training.seed={seed}",
        ]
        config = settings.load(Config, RECIPE, [*given, *ROWS[row], *arguments.settings])
        train(config, run, resume=False)
        lines = map(json.loads, (run / "log.jsonl").read_text().splitlines())
        top1 = [100 * line["top1"] for line in lines if line["event"] == "epoch"]
        shutil.rmtree(run)
        results.append((max(top1), top1[-1]))
        print(f"{row}, seed {seed}: best {max(top1):.1f} %, last {top1[-1]:.1f} %", flush=True)
    best, last = map(mean, zip(*results))
    print(f"{row}, mean: best {best:.1f} %, last {last:.1f} %", flush=True)


if __name__ == "__main__":
    main()
