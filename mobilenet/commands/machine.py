"""`info` and `bench`: the cost of networks, a description of this machine, and its speed."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any, Callable

from mobilenet.commands.arguments import (
    Adder,
    add_command,
    count,
    given,
    resolution,
    resolutions,
    width,
    widths,
)
from mobilenet.errors import UserError
from mobilenet.inference.naive_engine import load_for_inference
from mobilenet.settings import shipped

_SIZES: dict[str, tuple[str, Callable[[str], Any], str]] = {
    "batch_size": ("--batch", count, "images per batch (32)"),
    "resolution": ("--size", resolution, "height and width of the images in pixels (224)"),
    "width_multiplier": ("--width", width, "width multiplier (1.0)"),
    "repeats": ("--repeats", count, "repeats, of which the median is reported (10)"),
}
_PRECISION = "--precision"
# The options that affect each subject, besides the repeats; others would be ignored.
_SUBJECTS = {
    "train": ("batch_size", "resolution", "width_multiplier", "precision"),
    "infer": ("batch_size", "resolution", "width_multiplier"),
    "reader": ("path", "batch_size", "resolution"),
    "end-to-end": ("path", "batch_size", "resolution", "width_multiplier", "precision"),
    "onnx": ("path", "batch_size", "resolution"),
}


def add_info(adder: Adder) -> None:
    """Adds `info`."""
    parser = add_command(adder, "info", info)
    add = parser.add_argument
    add("--dialect", choices=("paper", "gluoncv", "origin"), help="form of the network (paper)")
    add("--widths", type=widths, metavar="W,W", help="width multipliers, e.g. 0.5,1.0")
    add("--resolutions", type=resolutions, metavar="PX,PX", help="e.g. 128,224")
    add("--depth", type=width, metavar="D", help="depth multiplier (1.0)")
    instead = parser.add_mutually_exclusive_group().add_argument
    instead("--recipes", action="store_true", help="list the recipes and their aims instead")
    instead("--machine", action="store_true", help="describe this machine instead")
    _add_json(parser)


def add_bench(adder: Adder) -> None:
    """Adds `bench`."""
    parser = add_command(adder, "bench", bench)
    parser.add_argument("subject", choices=_SUBJECTS, help="what is measured")
    parser.add_argument(
        "path", nargs="?", type=Path, metavar="PATH",
        help="reader, end-to-end: folder of records (drawn ones); onnx: the file",
    )  # fmt: skip
    for name, (option, kind, text) in _SIZES.items():
        parser.add_argument(option, dest=name, type=kind, help=text)
    parser.add_argument(
        _PRECISION, choices=("float32", "bfloat16"), help="of training; needs AVX512-BF16 (float32)"
    )
    _add_json(parser)


def _add_json(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def info(arguments: Namespace) -> int:
    """Show networks' cost and published accuracies, the recipes, or what this machine has."""
    sizes = given(arguments, "dialect", "widths", "resolutions", "depth")
    other = "machine" if arguments.machine else "recipes" if arguments.recipes else None
    if sizes and other:
        raise UserError(f"--{next(iter(sizes))} has no effect with --{other}")
    subject = {"machine": _machine, "recipes": _recipes}.get(other or "")
    as_json, summary = subject() if subject else _networks(sizes)
    print(json.dumps(as_json, indent=2) if arguments.json else summary)
    return 0


def _machine() -> tuple[Any, str]:
    from mobilenet.machine import machine

    found = machine()
    return found.as_json(), found.summary()


def _recipes() -> tuple[Any, str]:
    aims = shipped.aims()
    width = max(map(len, aims))
    return aims, "\n".join(f"{name:{width}}  {aim}" for name, aim in aims.items())


def _networks(sizes: dict[str, Any]) -> tuple[Any, str]:
    from mobilenet import network_table

    rows = network_table.sizes(**sizes)
    return [row.as_json() for row in rows], network_table.table(rows)


def bench(arguments: Namespace) -> int:
    """Measure the speed of training, inference and reading, and what limits training."""
    _check_options(arguments)
    if arguments.subject == "infer":
        load_for_inference()
    from mobilenet import bench

    work = bench.Work(**given(arguments, *_SIZES, "precision"))
    subject, path = arguments.subject, arguments.path
    subjects: dict[str, Callable[[], bench.Result]] = {
        "train": lambda: bench.train(work),
        "infer": lambda: bench.infer(work),
        "reader": lambda: bench.reader(path, work),
        "end-to-end": lambda: bench.end_to_end(path, work),
        "onnx": lambda: bench.onnx(path, work),
    }
    result = subjects[subject]()
    print(json.dumps(result.as_json(), indent=2) if arguments.json else result.summary())
    return 0


def _check_options(arguments: Namespace) -> None:
    """Refuses options that the subject would ignore."""
    subject = arguments.subject
    options = {"path": f"'{arguments.path}'", "precision": _PRECISION}
    options.update((name, option) for name, (option, *_) in _SIZES.items())
    for name in given(arguments, *options):
        if name not in (*_SUBJECTS[subject], "repeats"):
            raise UserError(f"{options[name]} has no effect on `bench {subject}`")
    if subject == "onnx" and arguments.path is None:
        raise UserError("`bench onnx` needs the ONNX file: mobilenet bench onnx FILE.onnx")
