"""`export --gluon`, `--gluoncv`: the network as MXNet's own files, beside the ONNX file."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from mobilenet.commands.companion import Companion, Made
from mobilenet.commands.output_paths import file_to_write
from mobilenet.errors import UserError


def _add(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--gluon",
        type=_prefix,
        metavar="PREFIX",
        help="also write PREFIX-symbol.json and PREFIX-0000.params, which MXNet (SymbolBlock,"
        " Module, its C++ interface) and TVM read",
    )


def _prefix(text: str) -> Path:
    prefix = file_to_write(text)
    if prefix.name in ("", ".."):
        raise argparse.ArgumentTypeError(f"{prefix}: names no file; the name of one would do")
    for ending in ("-symbol.json", "-0000.params"):
        file_to_write(str(prefix) + ending)
    return prefix


def _check(arguments: Namespace) -> None:
    """Refuses to replace the weights that are exported."""
    from mobilenet.export.gluon_files import symbol_files

    prefix, parameters = arguments.gluon, arguments.gluoncv
    targets = {} if parameters is None else {parameters: "--gluoncv"}
    if prefix is not None:
        targets.update(dict.fromkeys(symbol_files(prefix), "--gluon"))
    sources = [Path(word).resolve() for word in arguments.models]
    for target, option in targets.items():
        if target.resolve() in sources:
            raise UserError(
                f"{option}: {target} would replace what it is made from; name another file"
            )


def _write(made: Made, arguments: Namespace) -> list[str]:
    from mobilenet.export.gluon_files import symbol_files, write_symbol

    block, config = made.network()
    size = (config.data.resolution, config.data.resolution)
    difference = write_symbol(block, arguments.gluon, size)
    graph, parameters = symbol_files(arguments.gluon)
    return [
        f"For MXNet: {graph} and {parameters}; logits of SymbolBlock and Module are within"
        f" {difference:.1e} of the network's"
    ]


def _add_gluoncv(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--gluoncv",
        type=_parameters,
        metavar="FILE.params",
        help="also write the weights by the names of gluoncv's MobileNetV2, for its load_parameters"
        " (dialect gluoncv)",
    )


def _parameters(text: str) -> Path:
    path = file_to_write(text)
    if path.suffix != ".params":
        raise argparse.ArgumentTypeError(f"{path}: the name of MXNet's weights ends in .params")
    return path


def _check_gluoncv(config: Any) -> None:
    from mobilenet.export.gluon_files import check_gluoncv

    check_gluoncv(config)


def _write_gluoncv(made: Made, arguments: Namespace) -> list[str]:
    from mobilenet.export.gluon_files import write_gluoncv

    block, config = made.network()
    return [f"For gluoncv: {write_gluoncv(block, config, arguments.gluoncv)}"]


GLUON = Companion("gluon", _add, _write, _check)
GLUONCV = Companion("gluoncv", _add_gluoncv, _write_gluoncv, check_config=_check_gluoncv)
