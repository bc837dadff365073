"""`export --triton` and `--ort`: for NVIDIA Triton, and for ONNX Runtime on phones."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from mobilenet.commands.companion import Companion, Made
from mobilenet.commands.output_paths import file_to_write, folder_to_write


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


def _add_ort(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--ort",
        type=file_to_write,
        metavar="FILE.ort",
        help="also write the file in ONNX Runtime's own format, for its small builds on phones",
    )


def _check_ort(arguments: Namespace) -> None:
    if arguments.ort is not None:
        from mobilenet.export.ort_format import check_name

        check_name(arguments.ort)


def _write_ort(made: Made, arguments: Namespace) -> list[str]:
    from mobilenet.export.ort_format import write_ort

    difference = write_ort(made.file, arguments.ort)
    return [f"ORT format: {arguments.ort}, within {difference:.1e} of the ONNX file's outputs"]


ORT = Companion("ort", _add_ort, _write_ort, _check_ort)
