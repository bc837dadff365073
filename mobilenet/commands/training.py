"""`preview`, `find-rate`, `train`, `average`, `compare` and `quickstart`: runs."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from mobilenet.commands.arguments import (
    Adder,
    add_command,
    add_json,
    add_offline,
    add_settings,
    count,
    load_config,
)
from mobilenet.commands.json_output import write_result
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


def add_find_rate(adder: Adder) -> None:
    """Adds `find-rate`."""
    parser = add_command(adder, "find-rate", find_rate)
    parser.add_argument("config", type=Path, help="YAML configuration")
    add_settings(parser)
    parser.add_argument(
        "--steps", type=count, default=100, metavar="N", help="training steps (100)"
    )
    parser.add_argument(
        "--output", type=file_to_write, metavar="FILE.png", help="file for the plot of the losses"
    )
    add_json(parser)
    add_offline(parser)


def add_preview(adder: Adder) -> None:
    """Adds `preview`."""
    parser = add_command(adder, "preview", preview)
    parser.add_argument("config", type=Path, help="YAML configuration, or a run folder")
    add_settings(parser)
    parser.add_argument("--images", type=count, default=32, metavar="N", help="how many (32)")
    parser.add_argument(
        "--output", type=file_to_write, metavar="FILE.jpg", required=True,
        help="file for the sheet, a JPEG or a PNG",
    )  # fmt: skip


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
    """Train a network from a YAML configuration into a run folder."""
    from mobilenet.pretrained.absolute_paths import with_absolute_paths

    config = with_absolute_paths(load_config(arguments.config, arguments.settings))
    # After the configuration is read: this takes seconds, and a mistake is told at once.
    from mobilenet.training.training_run import train

    run = arguments.folder or Path("runs") / arguments.config.stem
    result = train(config, run, arguments.resume)
    if result is not None:  # in a distributed run only rank 0 has one
        print(result.summary())
    return 0


def find_rate(arguments: Namespace) -> int:
    """Suggest a learning rate: train some steps at growing rates, and keep nothing of them."""
    config = load_config(arguments.config, arguments.settings)
    # After the configuration is read, as in `train`.
    from mobilenet.runs.curves import draw_range_test
    from mobilenet.training.build import as_setting
    from mobilenet.training.training_run import find_rate

    found = find_rate(config, arguments.steps)
    rate = as_setting(config, found.suggestion)
    if arguments.output is not None:
        draw_range_test(found.rates, found.losses, found.suggestion, arguments.output)
    print(f"schedule.learning_rate={rate:g}, a tenth of the rate at the lowest loss")
    values = {"learning_rate": rate, "rates": found.rates, "losses": found.losses}
    write_result(arguments.json, values)
    return 0


def preview(arguments: Namespace) -> int:
    """Draw a sheet of the first training images as they are augmented, with their labels."""
    from mobilenet.runs.run_folder import CONFIG

    path = arguments.config
    config = load_config(path / CONFIG if path.is_dir() else path, arguments.settings)
    # After the configuration is read, as in `train`.
    from mobilenet.notebook_figures import draw_first_images

    num_images = draw_first_images(config, arguments.images, arguments.output)
    print(f"{arguments.output}: {num_images} images of the first batch")
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
