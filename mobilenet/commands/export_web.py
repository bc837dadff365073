"""`export --web`: a web page with the model, beside the ONNX file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Union

from mobilenet.commands.arguments import refuse
from mobilenet.commands.companion import Companion, Made
from mobilenet.commands.output_paths import folder_to_write


def _add(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--web",
        type=folder_to_write,
        metavar="DIR",
        help="also make a web page, on which anybody tries the model with photos",
    )
    parser.add_argument(
        "--web-runtime",
        type=_source,
        metavar="PATH|URL|cdn",
        help="ONNX Runtime Web for the page: its npm package on the disk, or an address that the"
        " page loads it from (default: downloaded once, and copied into the page)",
    )


def _source(text: str) -> Union[str, Path]:
    from mobilenet.export.web_runtime import CDN

    if text == "cdn":
        return CDN
    return text if text.startswith(("http://", "https://")) else Path(text)


def _check(arguments: Namespace) -> None:
    """Refuses a folder that holds something else; downloads the runtime if need be.

    It is there before the export, which may take long.
    """
    if arguments.web is None:
        refuse(arguments, "without --web", "web_runtime")
        return
    from mobilenet.export.web_page import check_folder
    from mobilenet.export.web_runtime import find_runtime

    check_folder(arguments.web)
    find_runtime(arguments.web_runtime)


def _write(made: Made, arguments: Namespace) -> list[str]:
    from mobilenet.export.web_page import write_page
    from mobilenet.export.web_runtime import find_runtime

    folder = arguments.web
    write_page(made.file, folder, find_runtime(arguments.web_runtime))
    return [f"Web page: {folder}; to try it: python -m http.server --directory {folder}"]


WEB = Companion("web", _add, _write, _check)
