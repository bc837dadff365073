"""`prepare` and `verify`: record files."""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from pathlib import Path

from mobilenet.commands.arguments import Adder, add_command, given


def add_prepare(adder: Adder) -> None:
    """Adds `prepare`."""
    add = add_command(adder, "prepare", prepare).add_argument
    add("--source", type=Path, nargs="+", required=True, help="folders, tars or .lst files")
    add("--output", type=Path, required=True, help="folder for the record files")
    add("--synset", type=Path, help="file with one class per line, in label order")
    add("--split", choices=("train", "val"), help="pack only this split; the one of a plain tree")
    add("--root", type=Path, help="folder that the paths in .lst files are relative to")
    add("--short-side", type=int, help="re-encode larger images with this short side in pixels")
    add("--quality", type=int, help="JPEG quality of re-encoded images (95)")
    add(
        "--minival",
        type=int,
        help="training images of each class to hold out",
    )
    add("--seed", type=int, help="seed of the order of the training images (0)")
    add("--skip-bad", action="store_true", help="leave out images that do not decode")
    add(
        "--exif-orientation",
        choices=("ignore", "apply"),
        help="pack photographs with their pixels as stored, or turned upright (ImageNet:"
        " ignore; others: apply)",
    )
    add("--workers", type=int, help="threads (one per processor)")
    add(
        "--checksum",
        action="store_true",
        help="compare ILSVRC2012's tars with their published SHA-1",
    )


def add_verify(adder: Adder) -> None:
    """Adds `verify`."""
    add = add_command(adder, "verify", verify).add_argument
    add("path", type=Path, help="folder of record files, or one .rec file")
    add("--deep", action="store_true", help="also decode every image")
    add("--fix", action="store_true", help="rebuild a missing or wrong index")


def prepare(arguments: Namespace) -> int:
    """Pack images into record files."""
    from mobilenet.packing.prepare import PrepareOptions, prepare

    chosen = given(arguments, *(field.name for field in dataclasses.fields(PrepareOptions)))
    print(prepare(PrepareOptions(**{**chosen, "source": tuple(arguments.source)})).summary())
    return 0


def verify(arguments: Namespace) -> int:
    """Check record files and their indices; exit code 1 if something is wrong."""
    from mobilenet.packing.verify import verify

    report = verify(arguments.path, arguments.deep, arguments.fix)
    print("\n".join(report.lines))
    return 0 if report.sound else 1
