"""`export --mar`: an archive for Multi-Model-Server, beside the ONNX file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from mobilenet.commands.companion import Companion, Made
from mobilenet.commands.output_paths import file_to_write


def _add(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--mar",
        type=file_to_write,
        metavar="FILE.mar",
        help="also make an archive for Multi-Model-Server",
    )


def _check(arguments: Namespace) -> None:
    if arguments.mar is not None:
        from mobilenet.export.model_archive import check_name

        check_name(arguments.mar)


def _write(made: Made, arguments: Namespace) -> list[str]:
    from mobilenet.export.model_archive import write_service

    write_service(made.file, arguments.mar)
    return [f"Archive for Multi-Model-Server: {arguments.mar}"]


MAR = Companion("mar", _add, _write, _check)
