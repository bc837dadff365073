"""What each command does with its arguments: one use case, and its result on standard output.

Each function imports its use case itself, so that `mobilenet --help` loads neither MXNet nor ONNX.
"""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from pathlib import Path

from mobilenet.config import Config


def prepare(arguments: Namespace) -> int:
    """Pack images into record files."""
    from mobilenet.prepare import PrepareOptions, prepare

    options = PrepareOptions(arguments.source, arguments.output, synset=arguments.synset)
    print(prepare(options).summary())
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
    """Count the top-1 and top-5 hits of a model over every record."""
    from mobilenet.files import write_json
    from mobilenet.loading import open_model
    from mobilenet.validation import validate

    model = open_model(arguments.model, arguments.config, arguments.settings)
    result = validate(model, arguments.data)
    print(result.summary())
    if arguments.json is not None:
        write_json(arguments.json, result.as_json())
    return 0


def export(arguments: Namespace) -> int:
    """Write a model as ONNX opset 7, after it has been proven equal to MXNet's."""
    from mobilenet.export import export
    from mobilenet.loading import open_model

    model = open_model(arguments.model, arguments.config, arguments.settings)
    print(export(model, arguments.output).summary())
    return 0


def quickstart(arguments: Namespace) -> int:
    """Prepare, train, validate and export on the embedded sample data."""
    from mobilenet.quickstart import quickstart

    print(quickstart(arguments.output))
    return 0


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
