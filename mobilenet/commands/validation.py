"""`validate`, `audit`, `history` and `predict`: what a model answers."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from mobilenet.commands.arguments import (
    MODEL,
    Adder,
    add_command,
    add_config,
    add_data,
    add_int8,
    add_json,
    add_model,
    add_settings,
    file_to_write,
    folder_to_write,
    resolutions,
    write_result,
)
from mobilenet.compat import allow_all_instructions
from mobilenet.errors import DataError, UserError
from mobilenet.inference.naive_engine import load_for_inference

_PUBLISHED = "published"
_ORIENTATION = "data.exif_orientation="


def add_validate(adder: Adder) -> None:
    """Adds `validate`."""
    parser = add_command(adder, "validate", validate)
    add_model(parser)
    add_data(parser)
    add_json(parser)
    add = parser.add_argument
    add_int8(parser)
    add("--report", type=folder_to_write, help="folder for a page, a table and the figures")
    add("--views", choices=("one", "flip", "ten-crop"), default="one", help="views to average over")
    add("--restrict", action="store_true", help="answer only classes of the data")
    add("--classes", type=Path, metavar="FILE", help="only these classes, an id per line")
    add("--labels", type=Path, help="JSON file with all right classes of each image")
    add("--against", type=Path, metavar="MODEL", help="another model for the same images")
    add("--engine", choices=("onnxruntime", "mxnet"), help="what computes an .onnx file")
    _add_expectation(parser)


def _add_expectation(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--expect", action="append", default=[], metavar="top1=FRACTION|top5=FRACTION|published",
        help="exit with code 1 if the accuracy is lower",
    )  # fmt: skip
    parser.add_argument(
        "--tolerance", type=float, help="fraction that may be missing (0; published: 0.01)"
    )


def add_audit(adder: Adder) -> None:
    """Adds `audit`."""
    parser = add_command(adder, "audit", audit)
    add_model(parser)
    add_data(parser)
    add_json(parser)
    parser.add_argument(
        "--resolutions", type=resolutions, default=(), metavar="PX,PX", help="e.g. 128,160,192"
    )


def add_history(adder: Adder) -> None:
    """Adds `history`."""
    parser = add_command(adder, "history", history)
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="a run folder")
    add_settings(parser)
    add_data(parser)
    add_json(parser)
    parser.add_argument(
        "--output", type=file_to_write, metavar="FILE.html", help="page with the curve"
    )


def add_predict(adder: Adder) -> None:
    """Adds `predict`."""
    parser = add_command(adder, "predict", predict)
    parser.add_argument("model", type=Path, metavar="MODEL", help=MODEL)
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE", help="files, folders, patterns, or - for a list"
    )
    add_config(parser)
    add_int8(parser)
    parser.add_argument(
        "--set", action="append", default=[], metavar="key.sub=value", help="settings to replace"
    )
    formats = parser.add_mutually_exclusive_group()
    for name, text in (("json", "a line of JSON per image"), ("csv", "a row per guess")):
        formats.add_argument(
            f"--{name}", dest="format", action="store_const", const=name, default="table", help=text
        )


def validate(arguments: Namespace) -> int:
    """Count the top-1 and top-5 hits of a model over every image; exit code 1 if too few."""
    _check_expectation(arguments)
    _prepare(arguments)
    from mobilenet.data.synset import read_lines
    from mobilenet.inference.open_model import open_model
    from mobilenet.validation import accuracy_gate, validate

    if arguments.against is not None:
        return _compare(arguments)
    wanted = [text for text in arguments.expect if text != _PUBLISHED]
    tolerance = arguments.tolerance
    expected = [accuracy_gate.parse(wanted, tolerance or 0.0)] if wanted else []
    model = open_model(arguments.model, arguments.config, arguments.settings, arguments.engine)
    model = _asked(arguments, model, arguments.data)
    images = validate.open_data(model, arguments.data)
    if arguments.expect and images.gap:
        raise DataError(f"{images.path}: {images.gap}; without --expect they can be validated")
    if _PUBLISHED in arguments.expect:
        missing = accuracy_gate.TOLERANCE if tolerance is None else tolerance
        expected.append(validate.published_expectation(model, images, missing))
    if arguments.classes is not None:
        images = images.of_classes(read_lines(arguments.classes), arguments.classes)
    restricted = arguments.restrict or arguments.classes is not None
    options = validate.Options(arguments.views, restricted, arguments.labels)
    result = validate.validate(model, images, options)
    print(result.summary())
    if arguments.report is not None:
        validate.write_report(result, arguments.report)
        print(f"report: {arguments.report / 'report.html'}")
    write_result(arguments.json, result.as_json())
    for one in expected:
        print(one.check(result.counts))
    return 0


def _check_expectation(arguments: Namespace) -> None:
    """What can be told without the model."""
    if arguments.tolerance is not None and not arguments.expect:
        raise UserError("--tolerance has no effect without --expect")
    unlike = [name for name in ("restrict", "classes") if getattr(arguments, name)]
    unlike += ["views"] if arguments.views != "one" else []
    if _PUBLISHED in arguments.expect and unlike:
        raise UserError(
            f"published accuracies are of one centre crop and all classes: leave out --{unlike[0]},"
            " or expect an accuracy as top1=..."
        )
    if arguments.classes is not None and arguments.labels is not None:
        raise UserError("--labels is about all records, so that --classes cannot drop some of them")


def _prepare(arguments: Namespace) -> None:
    """Loads MXNet as the call needs it."""
    if arguments.int8:
        allow_all_instructions()
    elif arguments.calibration is not None:
        raise UserError("--calibration has no effect without --int8")
    load_for_inference()


def _asked(arguments: Namespace, model: Any, data: Path | None = None) -> Any:
    """The model, in 8-bit integers if they are asked for; `data` calibrates them by default."""
    if not arguments.int8:
        return model
    from mobilenet.inference.int8_model import in_int8

    return in_int8(model, arguments.calibration or data)


def _compare(arguments: Namespace) -> int:
    from mobilenet.inference.open_model import open_model, takes_config
    from mobilenet.validation.model_comparison import compare

    for name in ("report", "restrict", "classes", "labels", "expect"):
        if getattr(arguments, name):
            raise UserError(f"--{name} has no effect with --against; validate each model by itself")
    if arguments.views != "one":
        raise UserError("--views has no effect with --against; validate each model by itself")
    paths = (arguments.model, arguments.against)
    # The configuration is for those that lack one; where none does, the first one refuses it.
    lacking = [path for path in paths if takes_config(path)] or paths[:1]
    first, second = (
        open_model(path, arguments.config if path in lacking else None, arguments.settings, engine)
        for path, engine in zip(paths, (arguments.engine, None))
    )
    result = compare(_asked(arguments, first, arguments.data), second, arguments.data)
    print(result.summary())
    write_result(arguments.json, result.as_json())
    return 0


def audit(arguments: Namespace) -> int:
    """Validate the same weights under every preprocessing, or at other resolutions."""
    load_for_inference()
    from mobilenet.inference.open_model import open_model
    from mobilenet.validation.preprocessing_audit import audit

    model = open_model(arguments.model, arguments.config, arguments.settings)
    result = audit(model, arguments.data, arguments.resolutions)
    print(result.summary())
    write_result(arguments.json, result.as_json())
    return 0


def history(arguments: Namespace) -> int:
    """Validate every checkpoint of a run, as a table and a curve."""
    load_for_inference()
    from mobilenet.validation.checkpoint_history import history, write_curve

    result = history(arguments.run_folder, arguments.data, arguments.settings)
    print(result.summary())
    if arguments.output is not None:
        write_curve(result, arguments.output)
    write_result(arguments.json, result.as_json())
    return 0


def predict(arguments: Namespace) -> int:
    """Name the five most probable classes of each image."""
    _prepare(arguments)
    from mobilenet.inference.open_model import open_model
    from mobilenet.inference.predict import FORMATS, find_images, predict

    images = find_images(arguments.images, sys.stdin)
    # Those who send photos mean them upright, whatever the network was trained on.
    is_chosen = any(setting.startswith(_ORIENTATION) for setting in arguments.set)
    settings = arguments.set if is_chosen else [f"{_ORIENTATION}apply", *arguments.set]
    model = _asked(arguments, open_model(arguments.model, arguments.config, settings))
    for line in FORMATS[arguments.format](predict(model, images)):
        print(line, flush=True)
    return 0
