"""`export`: ONNX files of one model or a family, model-zoo packages, server archives."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any, Optional, Sequence, Union

from mobilenet.commands.arguments import (
    Adder,
    add_calibration,
    add_command,
    add_config,
    add_data,
    add_json,
    count,
    load_config,
    refuse,
    resolution,
    resolutions,
    widths,
)
from mobilenet.commands.companion import Made, Network
from mobilenet.commands.export_companions import (
    COMPANIONS,
    NAMES,
    listed,
    wanted,
    write_companions,
)
from mobilenet.commands.export_family import export_family
from mobilenet.commands.json_output import write_result
from mobilenet.commands.output_paths import to_write
from mobilenet.errors import ConfigError, UserError

_GRAPH = ("form", "batch", "resolution", "pixels", "softmax", "half_weights", "opset")


def add_export(adder: Adder) -> None:
    """Adds `export`."""
    parser = add_command(adder, "export", export)
    add = parser.add_argument
    add(
        "models", nargs="+", metavar="MODEL",
        help="run folders, checkpoints, files of weights or names of published weights; then"
        f" key.sub=value; an .onnx file alone is packed as it is by {listed()}",
    )  # fmt: skip
    add_config(parser)
    add("--output", type=to_write, help="file (MODEL's name with .onnx), or folder of a family")
    add("--untrained", action="store_true", help="MODEL is a YAML file; its weights are random")
    add("--widths", type=widths, default=(), metavar="W,W", help="widths of an --untrained family")
    add("--resolutions", type=resolutions, default=(), metavar="PX,PX", help="sizes of a family")
    for companion in COMPANIONS:
        companion.add(parser)
    add("--int8", action="store_true", help="8-bit integers, if they lose little on --data")
    add_calibration(parser)
    add_data(parser)
    add_json(parser)
    _add_graph_arguments(parser)


def _add_graph_arguments(parser: ArgumentParser) -> None:
    # Options that are not given are absent, so that defaults are only in GraphOptions.
    group = parser.add_argument_group("graph", argument_default=argparse.SUPPRESS)
    add = group.add_argument
    add("--opset", type=int, help="version of ONNX's operators, from 7 on (7)")
    add("--batch", type=batch, metavar="N|any", help="images per batch (any)")
    add("--resolution", type=size, metavar="PX|HxW|any", help="height and width (the model's)")
    add(
        "--form", choices=("portable", "zoo"),
        help="BatchNorm folded, or the graph of the ONNX model zoo's file (portable)",
    )  # fmt: skip
    add(
        "--pixels", choices=("normalised", "float", "uint8"),
        help="the input: normalised values, or pixels of 0 to 255 of a type (normalised)",
    )  # fmt: skip
    add("--softmax", action="store_true", help="probabilities instead of logits")
    add("--half", dest="half_weights", action="store_true", help="weights in half precision")


def batch(text: str) -> Optional[int]:
    """Images per batch, or None for any."""
    return None if text == "any" else count(text)


def size(text: str) -> Union[int, tuple[int, int], None]:
    """A resolution, height and width such as (128, 224), or None for any."""
    height, by, width = text.partition("x")
    if by:
        return resolution(height), resolution(width)
    return None if text == "any" else resolution(text)


def export(arguments: Namespace) -> int:
    """Export models to ONNX opset 7, each file after comparing it with MXNet."""
    paths, overrides = _split(arguments.models)
    _check(arguments, paths)
    if _is_family(arguments, paths):
        return export_family(arguments, paths, overrides, _chosen(arguments))
    if paths[0].suffix == ".onnx" and wanted(arguments):
        made = _made(arguments, paths[0], overrides)
    else:
        made = _make(arguments, paths[0], overrides)
    write_companions(made, arguments)
    return 0


def _split(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Separates the models from the settings: words with `=` that are no files."""
    is_setting = ["=" in word and not Path(word).exists() for word in words]
    paths = [Path(word) for word, setting in zip(words, is_setting) if not setting]
    if not paths:
        raise UserError("no MODEL is given, only settings")
    return paths, [word for word, setting in zip(words, is_setting) if setting]


def _is_family(arguments: Namespace, paths: Sequence[Path]) -> bool:
    return len(paths) > 1 or bool(arguments.widths or arguments.resolutions)


def _check(arguments: Namespace, paths: Sequence[Path]) -> None:
    """Refuses options that would have no effect."""
    is_family = _is_family(arguments, paths)
    if arguments.untrained:
        refuse(arguments, "with --untrained", "config", "data", "int8")
        if len(paths) > 1:
            raise UserError("--untrained takes one YAML file, not several")
    else:
        refuse(arguments, "without --untrained", "widths")
    if is_family:
        refuse(arguments, "on a family", *NAMES, "int8")
        if "resolution" in arguments:
            raise UserError("--resolution has no effect on a family, which has --resolutions")
        if arguments.output is None:
            raise UserError("a family needs --output: the folder for its files")
    _check_names(arguments, paths)
    if not arguments.int8:
        refuse(arguments, "without --int8", "calibration")
    for companion in COMPANIONS:
        companion.check(arguments)


def _check_names(arguments: Namespace, paths: Sequence[Path]) -> None:
    """Refuses wrong names of outputs before the work begins."""
    output = arguments.output
    if output is not None and not _is_family(arguments, paths):
        _check_output(arguments, paths)
    elif output is not None and output.exists() and not output.is_dir():
        raise UserError(f"--output {output} is not a folder, which it has to be here")


def _check_output(arguments: Namespace, paths: Sequence[Path]) -> None:
    """Refuses wrong names of the new file."""
    output = arguments.output
    if output.is_dir():
        raise UserError(f"--output {output} is a folder; name a file, for instance in it")
    sources = paths if arguments.config is None else [*paths, arguments.config]
    if output.resolve() in [source.resolve() for source in sources]:
        raise UserError(f"--output {output} would replace what it is made from; name another file")
    if wanted(arguments) and output.suffix != ".onnx":
        raise UserError(f"--output {output} has to end in .onnx for {listed()}")


def _chosen(arguments: Namespace) -> dict[str, Any]:
    return {name: getattr(arguments, name) for name in _GRAPH if name in arguments}


def _made(arguments: Namespace, path: Path, overrides: list[str]) -> Made:
    """The .onnx file that is packed as it is; refuses options that would change it."""
    names = ("output", "int8", "untrained", "config", "json")
    refuse(arguments, "on an .onnx file, which is packed as it is", *names)
    if arguments.package is None:
        refuse(arguments, "on an .onnx file without --package", "data")
    if _chosen(arguments) or overrides:
        raise ConfigError(f"{path} is packed as it is: settings and graph options have no effect")
    from mobilenet.inference.open_model import open_model

    def network() -> Network:
        model = open_model(path, as_network=True)
        return Network(model.network, model.config)

    return Made(path, network, arguments.data, is_new=False)


def _make(arguments: Namespace, path: Path, overrides: list[str]) -> Made:
    """Exports the new file."""
    if arguments.untrained:
        return _make_untrained(arguments, path, overrides)
    from mobilenet.export.to_onnx import options_for, own_images
    from mobilenet.inference.open_model import open_model

    model = open_model(path, arguments.config, overrides, as_network=True)
    options = options_for(model.config, **_chosen(arguments))
    for companion in wanted(arguments):
        companion.check_config(model.config)
        companion.check_model(arguments, model, options)
    file = _told(arguments, _export_model(arguments, model))
    images = arguments.data or own_images(model)
    return Made(file, lambda: Network(model.network, model.config), images)


def _make_untrained(arguments: Namespace, path: Path, overrides: list[str]) -> Made:
    from mobilenet.export.to_onnx import export_untrained, options_for, untrained_network

    config = load_config(path, overrides)
    for companion in wanted(arguments):
        companion.check_config(config)
    output = arguments.output or path.with_suffix(".onnx")
    result = export_untrained(config, output, options_for(config, **_chosen(arguments)))
    # The seed gives the same weights again.
    return Made(_told(arguments, result), lambda: Network(untrained_network(config), config))


def _told(arguments: Namespace, result: Any) -> Path:
    """Says what was exported; returns the file."""
    print(result.summary())
    write_result(arguments.json, result.as_json())
    path: Path = result.path
    return path


def _export_model(arguments: Namespace, model: Any) -> Any:
    from mobilenet.export.to_int8_onnx import export_int8
    from mobilenet.export.to_onnx import export, options_for
    from mobilenet.onnx.int8_quantizer import OPSET

    if not arguments.int8:
        options = options_for(model.config, **_chosen(arguments))
        return export(model, arguments.output, options, arguments.data)
    options = options_for(model.config, **{"opset": OPSET, **_chosen(arguments)})
    return export_int8(model, arguments.output, options, arguments.data, arguments.calibration)
