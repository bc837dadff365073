"""The commands that make ONNX files, `export`, `family` and `package`: arguments and results.

Each function imports its use case itself, so that `mobilenet --help` loads neither MXNet nor ONNX.
"""

from __future__ import annotations

import argparse
import itertools
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any, Optional

from mobilenet import settings
from mobilenet.config import Config
from mobilenet.errors import ConfigError
from mobilenet.files import write_json

_OPTIONS = ("form", "batch", "resolution", "pixels", "softmax", "half_weights", "opset")
_YAML = (".yaml", ".yml")


def add_export_arguments(parser: ArgumentParser) -> None:
    """Arguments of `export` besides the model, its settings and its configuration."""
    parser.add_argument("--output", type=Path, help="file to write (MODEL's name with .onnx)")
    parser.add_argument(
        "--untrained", action="store_true", help="MODEL is a YAML file; its weights are random"
    )
    parser.add_argument("--images", type=Path, help="records or folder of images for the proof")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    group = _add_graph_arguments(parser)
    group.add_argument("--resolution", type=_size, metavar="PX|any", help="(the model's)")


def add_family_arguments(parser: ArgumentParser) -> None:
    """Arguments of `family`."""
    parser.add_argument(
        "models", nargs="+", type=Path, metavar="MODEL", help="models, or a YAML file for --widths"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder for the files")
    parser.add_argument("--widths", type=_floats, metavar="W,W", help="e.g. 0.35,0.5,1.0")
    parser.add_argument("--resolutions", type=_integers, metavar="PX,PX", help="e.g. 128,224")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    _add_graph_arguments(parser)


def add_package_arguments(parser: ArgumentParser) -> None:
    """Arguments of `package`."""
    parser.add_argument("model", type=Path, metavar="FILE.onnx", help="an exported file")
    parser.add_argument("--output", type=Path, required=True, help="folder for the package")
    parser.add_argument("--images", type=Path, help="records or folder of images (random ones)")
    parser.add_argument("--examples", type=_count, default=3, help="inputs with outputs (3)")


def export(arguments: Namespace) -> int:
    """Write a model as ONNX opset 7, after it has been proven equal to MXNet's."""
    from mobilenet.export import export, export_untrained, options_for
    from mobilenet.loading import open_model

    if arguments.untrained:
        _refuse(arguments, "--untrained", "config", "images")
        config = settings.load(Config, arguments.model, arguments.settings)
        output = arguments.output or arguments.model.with_suffix(".onnx")
        result = export_untrained(config, output, options_for(config, **_chosen(arguments)))
    else:
        model = open_model(arguments.model, arguments.config, arguments.settings)
        options = options_for(model.config, **_chosen(arguments))
        result = export(model, arguments.output, options, arguments.images)
    print(result.summary())
    if arguments.json is not None:
        write_json(arguments.json, result.as_json())
    return 0


def family(arguments: Namespace) -> int:
    """Export one file per width multiplier and resolution, and tell what each one costs."""
    from mobilenet.family import export_family, export_untrained_family, table
    from mobilenet.loading import open_model
    from mobilenet.onnx.graph import GraphOptions

    options = GraphOptions(**_chosen(arguments))
    if arguments.models[0].suffix in _YAML:
        config, sizes = _untrained_sizes(arguments)
        members = list(export_untrained_family(config, sizes, arguments.output, options))
    else:
        _refuse(arguments, "a family of trained models", "widths", "resolutions")
        models = [open_model(path) for path in arguments.models]
        members = list(export_family(models, arguments.output, options))
    print(table(members))
    if arguments.json is not None:
        write_json(arguments.json, [member.as_json() for member in members])
    return 0


def package(arguments: Namespace) -> int:
    """Pack an ONNX file as the model zoo does: with test data, manifest entry and model card."""
    from mobilenet.packaging import package

    result = package(arguments.model, arguments.output, arguments.images, arguments.examples)
    print("\n".join(str(path) for path in (result.archive, result.manifest, result.card)))
    return 0


def _untrained_sizes(arguments: Namespace) -> tuple[Config, list[tuple[float, int]]]:
    if len(arguments.models) > 1:
        raise ConfigError("a family of random weights comes from one YAML file, not several")
    config = settings.load(Config, arguments.models[0])
    widths = arguments.widths or (config.model.width_multiplier,)
    resolutions = arguments.resolutions or (config.data.resolution,)
    return config, list(itertools.product(widths, resolutions))


def _refuse(arguments: Namespace, use: str, *names: str) -> None:
    for name in names:
        if getattr(arguments, name) is not None:
            raise ConfigError(f"--{name} has no effect on {use}")


def _chosen(arguments: Namespace) -> dict[str, Any]:
    return {name: getattr(arguments, name) for name in _OPTIONS if name in arguments}


def _add_graph_arguments(parser: ArgumentParser) -> Any:
    # An option that is not given is absent, so that every default is in GraphOptions alone.
    group = parser.add_argument_group("graph", argument_default=argparse.SUPPRESS)
    group.add_argument("--opset", type=int, help="version of ONNX's operators, from 7 on (7)")
    group.add_argument("--batch", type=_size, metavar="N|any", help="images per batch (any)")
    group.add_argument(
        "--form",
        choices=("portable", "zoo"),
        help="BatchNorm folded, or the graph of the ONNX model zoo's file (portable)",
    )
    group.add_argument(
        "--pixels",
        choices=("normalised", "float", "uint8"),
        help="the input: normalised values, or pixels of 0 to 255 of a type (normalised)",
    )
    group.add_argument("--softmax", action="store_true", help="probabilities instead of logits")
    group.add_argument(
        "--half", dest="half_weights", action="store_true", help="weights in half precision"
    )
    return group


def _size(text: str) -> Optional[int]:
    return None if text == "any" else _count(text)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


def _integers(text: str) -> tuple[int, ...]:
    return tuple(_count(part) for part in text.split(","))


def _floats(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))
