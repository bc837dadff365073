"""`export --triton`: a model repository for NVIDIA Triton, beside the ONNX file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from mobilenet.commands.companion import Companion, Made
from mobilenet.commands.output_paths import folder_to_write


def _add_triton(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--triton",
        type=folder_to_write,
        metavar="DIR",
        help="also put the file into a model repository for NVIDIA Triton",
    )


def _check_triton(arguments: Namespace) -> None:
    if arguments.triton is not None:
        from mobilenet.export.triton_repository import check_place

        check_place(arguments.triton, Path(arguments.output or arguments.models[0]).stem)


def _write_triton(made: Made, arguments: Namespace) -> list[str]:
    from mobilenet.export.triton_repository import write_repository

    folder = write_repository(made.file, arguments.triton)
    return [f"Model for NVIDIA Triton: {folder}"]


TRITON = Companion("triton", _add_triton, _write_triton, _check_triton)
