"""`validate`, `audit` and `history`: a model's accuracy."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilenet.commands.arguments import (
    Adder,
    add_command,
    add_data,
    add_engine,
    add_int8,
    add_json,
    add_model,
    add_settings,
    given,
    refuse,
    resolutions,
)
from mobilenet.commands.inference_setup import (
    engine_in_float32,
    in_int8_if_asked,
    prepare_mxnet,
)
from mobilenet.commands.json_output import write_result
from mobilenet.commands.output_paths import file_to_write, folder_to_write
from mobilenet.errors import DataError, UserError
from mobilenet.inference.engines import BFLOAT16
from mobilenet.inference.naive_engine import load_for_inference
from mobilenet.skipped_items import SkippedItems

if TYPE_CHECKING:
    from mobilenet.inference.engines import Engine
    from mobilenet.inference.loaded_model import LoadedModel
    from mobilenet.validation.validate import Validation

_PUBLISHED = "published"


def add_validate(adder: Adder) -> None:
    """Adds `validate`."""
    parser = add_command(adder, "validate", validate)
    add_model(parser)
    add_data(parser)
    add_json(parser)
    add = parser.add_argument
    add_int8(parser)
    add(
        "--report",
        type=folder_to_write,
        metavar="DIR",
        help="folder for report.html, predictions.csv and metrics.json",
    )
    add(
        "--views",
        choices=("one", "flip", "ten-crop"),
        default="one",
        help="average the probabilities of several views of each image (%(default)s)",
    )
    add("--restrict", action="store_true", help="predict only classes that the data have")
    add(
        "--classes",
        type=Path,
        metavar="FILE",
        help="validate only the images of these classes, one id per line",
    )
    add(
        "--labels", type=Path, metavar="FILE", help="JSON file with all right classes of each image"
    )
    add("--against", type=Path, metavar="MODEL", help="compare with this model on the same images")
    add_engine(parser, ".onnx files: onnxruntime; others: mxnet")
    _add_expectation(parser)


def _add_expectation(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--expect", action="append", default=[], metavar="top1=FRACTION|top5=FRACTION|published",
        help="exit with code 1 if the accuracy is lower; published: than that in docs/recipes.md",
    )  # fmt: skip
    parser.add_argument(
        "--tolerance",
        type=float,
        metavar="FRACTION",
        help="how much lower the accuracy may be (0; published: 0.01)",
    )


def add_audit(adder: Adder) -> None:
    """Adds `audit`."""
    parser = add_command(adder, "audit", audit)
    add_model(parser)
    add_data(parser)
    add_json(parser)
    parser.add_argument(
        "--resolutions",
        type=resolutions,
        default=(),
        metavar="PX,PX",
        help="audit these resolutions, e.g. 128,160,192",
    )
    parser.add_argument(
        "--normalizations", action="store_true", help="compare ways to normalise the input"
    )


def add_history(adder: Adder) -> None:
    """Adds `history`."""
    parser = add_command(adder, "history", history)
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="a run folder")
    add_settings(parser)
    add_data(parser)
    add_json(parser)
    parser.add_argument(
        "--output", type=file_to_write, metavar="FILE.html", help="page with the accuracy curve"
    )


def validate(arguments: Namespace) -> int:
    """Measure top-1 and top-5 accuracy over every image; exit code 1 if less than expected."""
    _check_expectation(arguments)
    prepare_mxnet(arguments)
    from mobilenet.data.synset import read_lines
    from mobilenet.validation import accuracy_gate, validate
    from mobilenet.validation.report.report_files import write_report

    if arguments.against is not None:
        return _compare(arguments)
    wanted = [text for text in arguments.expect if text != _PUBLISHED]
    tolerance = arguments.tolerance
    expected = [accuracy_gate.parse(wanted, tolerance or 0.0)] if wanted else []
    opened = _opened_by(engine_in_float32(arguments), arguments)
    model = in_int8_if_asked(arguments, opened, arguments.data)
    images = validate.open_data(model, arguments.data)
    if arguments.expect and images.gap:
        raise DataError(f"{images.path}: {images.gap}; without --expect they can be validated")
    if _PUBLISHED in arguments.expect:
        missing = accuracy_gate.TOLERANCE if tolerance is None else tolerance
        expected.append(accuracy_gate.published_expectation(model, images, missing))
    if arguments.classes is not None:
        images = images.of_classes(read_lines(arguments.classes), arguments.classes)
    restricted = arguments.restrict or arguments.classes is not None
    options = validate.Options(arguments.views, restricted, arguments.labels)
    result = validate.validate(model, images, options)
    print(result.summary())
    beside = _beside_float32(arguments, result)
    if arguments.report is not None:
        write_report(result, arguments.report)
        print(f"report: {arguments.report / 'report.html'}")
    write_result(arguments.json, {**result.as_json(), **beside})
    for one in expected:
        print(one.check(result.counts))
    return 0


def _opened_by(engine: Engine | None, arguments: Namespace) -> LoadedModel:
    from mobilenet.inference.open_model import open_model

    path, config, overrides = arguments.model, arguments.config, arguments.settings
    return open_model(path, config, overrides, engine, as_network=arguments.int8)


def _beside_float32(arguments: Namespace, result: Validation) -> dict[str, Any]:
    """Prints what bfloat16 changes in a result, and gives it as JSON; nothing of other engines."""
    if arguments.engine != BFLOAT16:
        return {}
    from mobilenet.validation.model_comparison import Comparison
    from mobilenet.validation.validate import validate

    single = validate(_opened_by("openvino", arguments), result.data, result.options)
    comparison = Comparison(result, single)
    print(comparison.summary())
    facts = comparison.as_json()
    del facts["first"]  # the result itself
    return {"float32": facts.pop("second"), "beside_float32": facts}


def _check_expectation(arguments: Namespace) -> None:
    """Refuses contradictory options before the model is opened."""
    if not arguments.expect:
        refuse(arguments, "without --expect", "tolerance")
    unlike = [*given(arguments, "restrict", "classes"), *_views(arguments)]
    if _PUBLISHED in arguments.expect and unlike:
        raise UserError(
            f"published accuracies are of one centre crop and all classes: leave out --{unlike[0]},"
            " or expect an accuracy as top1=..."
        )
    if arguments.classes is not None and arguments.labels is not None:
        raise UserError("--labels is about all records, so that --classes cannot drop some of them")


def _views(arguments: Namespace) -> list[str]:
    return ["views"] if arguments.views != "one" else []


def _compare(arguments: Namespace) -> int:
    from mobilenet.inference.open_model import open_model, takes_config
    from mobilenet.validation.model_comparison import compare

    circumstance = "with --against; validate each model by itself"
    names = ("report", "restrict", "classes", "labels", "expect", *_views(arguments))
    refuse(arguments, circumstance, *names)
    paths = (arguments.model, arguments.against)
    # --config is for models without one; if both have their own, opening the first one refuses it.
    lacking = [path for path in paths if takes_config(path)] or paths[:1]
    first, second = (
        open_model(path, arguments.config if path in lacking else None, arguments.settings, engine)
        for path, engine in zip(paths, (engine_in_float32(arguments), None))
    )
    result = compare(in_int8_if_asked(arguments, first, arguments.data), second, arguments.data)
    print(result.summary())
    write_result(arguments.json, result.as_json())
    return 0


def audit(arguments: Namespace) -> int:
    """Validate the same weights under every preprocessing, or at other resolutions."""
    load_for_inference()
    from mobilenet.inference.open_model import open_model
    from mobilenet.validation.preprocessing_audit import audit

    model = open_model(arguments.model, arguments.config, arguments.settings)
    if arguments.normalizations and arguments.resolutions:
        raise UserError("--resolutions has no effect with --normalizations; ask for one of them")
    result = audit(model, arguments.data, arguments.resolutions, arguments.normalizations)
    print(result.summary())
    write_result(arguments.json, result.as_json())
    return 0


def history(arguments: Namespace) -> int:
    """Validate every checkpoint of a run: a table, and a page with the curve."""
    load_for_inference()
    from mobilenet.runs.checkpoint import checkpoint_paths
    from mobilenet.validation.checkpoint_history import history, write_curve

    skipped = SkippedItems("checkpoints", len(checkpoint_paths(arguments.run_folder)))
    result = history(arguments.run_folder, arguments.data, arguments.settings, skipped)
    print(result.summary())
    if arguments.output is not None:
        write_curve(result, arguments.output)
    write_result(arguments.json, result.as_json())
    skipped.check()
    return 0
