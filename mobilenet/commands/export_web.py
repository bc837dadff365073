"""`export --web`: a web page with the model, beside the ONNX file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any, Union

from mobilenet.commands.arguments import refuse
from mobilenet.commands.output_paths import folder_to_write


def add_web(parser: ArgumentParser) -> None:
    """`--web`, and `--web-runtime` for it."""
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


def check_web(arguments: Namespace) -> None:
    """Refuses a folder that holds something else, and a runtime without a page."""
    if arguments.web is None:
        refuse(arguments, "without --web", "web_runtime")
    else:
        from mobilenet.export.web_page import check_folder

        check_folder(arguments.web)


def runtime_of_page(arguments: Namespace) -> Any:
    """What computes the network on the page, or None if there is to be no page.

    It is there before the export, which may take long.
    """
    from mobilenet.export.web_runtime import find_runtime

    return None if arguments.web is None else find_runtime(arguments.web_runtime)


def make_page(file: Path, folder: Path, runtime: Any) -> None:
    """Writes the page, and says how to open it."""
    from mobilenet.export.web_page import write_page

    write_page(file, folder, runtime)
    print(f"Web page: {folder}; to try it: python -m http.server --directory {folder}")
