"""`train`, `average`, `compare` and `quickstart`: runs."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from mobilenet.commands.arguments import (
    Adder,
    add_command,
    add_offline,
    add_settings,
    count,
    load_config,
)
from mobilenet.commands.output_paths import file_to_write, folder_to_write
from mobilenet.inference.naive_engine import load_for_inference
from mobilenet.skipped_items import SkippedItems


def add_train(adder: Adder) -> None:
    """Adds `train`."""
    parser = add_command(adder, "train", train)
    parser.add_argument("config", type=Path, help="YAML configuration")
    add_settings(parser)
    parser.add_argument("--run", dest="folder", type=Path, help="run folder (runs/CONFIG)")
    add_offline(parser)
    parser.add_argument("--resume", action="store_true", help="continue the run in that folder")


def add_average(adder: Adder) -> None:
    """Adds `average`."""
    parser = add_command(adder, "average", average)
    parser.add_argument("folder", type=Path, metavar="RUN", help="run folder")
    parser.add_argument(
        "--last", type=count, default=5, metavar="N", help="how many checkpoints (5)"
    )
    parser.add_argument("--output", type=file_to_write, metavar="FILE.params", required=True)


def add_compare(adder: Adder) -> None:
    """Adds `compare`."""
    parser = add_command(adder, "compare", compare)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders")
    parser.add_argument(
        "--curves", type=file_to_write, metavar="FILE.png", help="also plot the curves of the runs"
    )


def add_quickstart(adder: Adder) -> None:
    """Adds `quickstart`."""
    parser = add_command(adder, "quickstart", quickstart)
    parser.add_argument(
        "--output",
        type=folder_to_write,
        default=Path("runs/quickstart"),
        help="folder (runs/quickstart)",
    )


def train(arguments: Namespace) -> int:
    """Train a network from a YAML configuration, and write everything into a run folder."""
    from mobilenet.pretrained.absolute_paths import with_absolute_paths
    from mobilenet.training.training_run import train

    config = with_absolute_paths(load_config(arguments.config, arguments.settings))
    run = arguments.folder or Path("runs") / arguments.config.stem
    result = train(config, run, arguments.resume)
    if result is not None:  # in a distributed run only rank 0 has one
        print(result.summary())
    return 0


def average(arguments: Namespace) -> int:
    """Average the weights of a run's newest checkpoints at the end of epochs."""
    from mobilenet.runs.checkpoint_averaging import average_run
    from mobilenet.runs.run_folder import CONFIG

    for path in average_run(arguments.folder, arguments.last, arguments.output):
        print(path)
    print(f"average: {arguments.output}, with --config {arguments.folder / CONFIG}")
    return 0


def compare(arguments: Namespace) -> int:
    """Tabulate what runs have reached, what they cost, and in which settings they differ."""
    load_for_inference()
    from mobilenet.runs.curves import draw_curves
    from mobilenet.runs.run_table import read_runs
    from mobilenet.validation.run_comparison import compare_runs

    skipped = SkippedItems("runs", len(arguments.runs))
    runs = read_runs(arguments.runs, skipped, _warn)
    print(compare_runs(runs).summary())
    if arguments.curves is not None:
        draw_curves({run.name: run.history for run in runs}, arguments.curves)
        print(f"\ncurves: {arguments.curves}")
    skipped.check()
    return 0


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


def quickstart(arguments: Namespace) -> int:
    """Prepare, train, validate and export on the embedded sample data."""
    from mobilenet.quickstart import quickstart

    outcome = quickstart(arguments.output)
    print(outcome.summary())
    outcome.check()
    return 0
