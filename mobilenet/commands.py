"""What each command does with its arguments: one use case, and its result on standard output.

Each function imports its use case itself, so that `mobilenet --help` loads neither MXNet nor ONNX.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from mobilenet.config import Config
from mobilenet.errors import UserError

_PUBLISHED = "published"


def prepare(arguments: Namespace) -> int:
    """Pack images into record files."""
    from mobilenet.prepare import PrepareOptions, prepare

    names = (field.name for field in dataclasses.fields(PrepareOptions))
    given = _given(arguments, *names)
    print(prepare(PrepareOptions(**{**given, "source": tuple(arguments.source)})).summary())
    return 0


def verify(arguments: Namespace) -> int:
    """Check record files and their indices; exit code 1 if something is wrong."""
    from mobilenet.verify import verify

    report = verify(arguments.path, arguments.deep, arguments.fix)
    print("\n".join(report.lines))
    return 0 if report.sound else 1


def train(arguments: Namespace) -> int:
    """Train a network from a YAML configuration; everything goes into a run folder."""
    from mobilenet.training import train

    config = _with_absolute_paths(_load(arguments.config, arguments.settings))
    run = arguments.folder or Path("runs") / arguments.config.stem
    print(train(config, run, arguments.resume).summary())
    return 0


def validate(arguments: Namespace) -> int:
    """Count the top-1 and top-5 hits of a model over every image; exit code 1 if too few."""
    from mobilenet import expectation, validation
    from mobilenet.loading import open_model

    wanted = [text for text in arguments.expect if text != _PUBLISHED]
    tolerance = arguments.tolerance
    expected = [expectation.parse(wanted, tolerance or 0.0)] if wanted else []
    model = open_model(arguments.model, arguments.config, arguments.settings)
    images = validation.open_data(model, arguments.data)
    if _PUBLISHED in arguments.expect:
        missing = expectation.TOLERANCE if tolerance is None else tolerance
        expected.append(validation.published_expectation(model, images, missing))
    options = validation.Options(arguments.views, arguments.restrict, arguments.labels)
    result = validation.validate(model, images, options)
    print(result.summary())
    if arguments.report is not None:
        validation.write_report(result, arguments.report)
        print(f"report: {arguments.report / 'report.html'}")
    _write_json(arguments.json, result.as_json())
    for one in expected:
        print(one.check(result.counts))
    return 0


def compare(arguments: Namespace) -> int:
    """Compare two models on the same images: agreement, and whether one is better."""
    from mobilenet.comparison import compare
    from mobilenet.loading import open_model

    first, second = (
        open_model(path, arguments.config if path.is_file() else None, arguments.settings)
        for path in (arguments.first, arguments.second)
    )
    result = compare(first, second, arguments.data)
    print(result.summary())
    _write_json(arguments.json, result.as_json())
    return 0


def audit(arguments: Namespace) -> int:
    """Validate the same weights under every preprocessing, or at other resolutions."""
    from mobilenet.audit import audit
    from mobilenet.loading import open_model

    model = open_model(arguments.model, arguments.config, arguments.settings)
    result = audit(model, arguments.data, arguments.resolutions)
    print(result.summary())
    _write_json(arguments.json, result.as_json())
    return 0


def history(arguments: Namespace) -> int:
    """Validate every checkpoint of a run, as a table and a curve."""
    from mobilenet.history import history, write_curve

    result = history(arguments.run_folder, arguments.data, arguments.settings)
    print(result.summary())
    if arguments.output is not None:
        write_curve(result, arguments.output)
    _write_json(arguments.json, result.as_json())
    return 0


def predict(arguments: Namespace) -> int:
    """Name the five most probable classes of each image."""
    from mobilenet.loading import open_model
    from mobilenet.predict import FORMATS, find_images, predict

    images = find_images(arguments.images, sys.stdin)
    model = open_model(arguments.model, arguments.config, arguments.set)
    for line in FORMATS[arguments.format](predict(model, images)):
        print(line, flush=True)
    return 0


def export(arguments: Namespace) -> int:
    """Write a model as ONNX opset 7, after it has been proven equal to MXNet's."""
    from mobilenet.export import export, options_for
    from mobilenet.loading import open_model

    if arguments.untrained:
        return _export_untrained(arguments)
    if arguments.widths or arguments.resolutions:
        raise UserError("--widths and --resolutions make a family of --untrained networks")
    model = open_model(arguments.model, arguments.config, arguments.settings)
    options = options_for(model.config, **_graph_options(arguments))
    result = export(model, arguments.output, options, arguments.data)
    print(result.summary())
    _write_json(arguments.json, result.as_json())
    return 0


def _export_untrained(arguments: Namespace) -> int:
    from mobilenet import family
    from mobilenet.export import export_untrained, options_for

    if arguments.output is None:
        raise UserError("--untrained needs --output: a file, or a folder for a family")
    config = _load(arguments.model, arguments.settings)
    options = options_for(config, **_graph_options(arguments))
    if not (arguments.widths or arguments.resolutions):
        result = export_untrained(config, arguments.output, options)
        print(result.summary())
        _write_json(arguments.json, result.as_json())
        return 0
    widths = arguments.widths or [config.model.width_multiplier]
    resolutions = arguments.resolutions or [config.data.resolution]
    sizes = list(itertools.product(widths, resolutions))
    members = list(family.export_untrained_family(config, sizes, arguments.output, options))
    print(family.table(members))
    _write_json(arguments.json, [member.as_json() for member in members])
    return 0


def _graph_options(arguments: Namespace) -> dict[str, object]:
    names = ("form", "batch", "pixels", "softmax", "half_weights", "opset")
    size = {"resolution": None} if arguments.any_size else {}
    return {**_given(arguments, *names), **size}


def _given(arguments: Namespace, *names: str) -> dict[str, Any]:
    """The arguments that were given; the others keep the defaults of what takes them."""
    values = {name: getattr(arguments, name) for name in names}
    return {
        name: value for name, value in values.items() if value is not None and value is not False
    }


def quickstart(arguments: Namespace) -> int:
    """Prepare, train, validate and export on the embedded sample data."""
    from mobilenet.quickstart import quickstart

    print(quickstart(arguments.output).summary())
    return 0


def _write_json(path: Path | None, content: object) -> None:
    from mobilenet.files import write_json

    if path is not None:
        write_json(path, content)


def _load(path: Path, settings: list[str]) -> Config:
    from mobilenet import settings as reader

    return reader.load(Config, path, settings)


def _with_absolute_paths(config: Config) -> Config:
    """The configuration with paths that hold from any folder; a run folder keeps them."""
    data = dataclasses.replace(config.data, directory=str(Path(config.data.directory).absolute()))
    training = config.training
    if training.initial_weights is not None:
        weights = str(Path(training.initial_weights).absolute())
        training = dataclasses.replace(training, initial_weights=weights)
    return dataclasses.replace(config, data=data, training=training)
