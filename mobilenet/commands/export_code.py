"""`export --code`: example programs beside the ONNX file."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser, Namespace
from typing import Any

from mobilenet.commands.companion import Companion, Made
from mobilenet.errors import did_you_mean

_LANGUAGES = ("py", "cpp", "js")
_DEFAULT = ("py",)


def _add(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--code",
        type=_languages,
        metavar="py,cpp,js",
        help="example programs beside the file that print what predict prints, for those who"
        " receive it, in Python, C++ (OpenCV) or JavaScript (Node) (py)",
    )


def _languages(text: str) -> tuple[str, ...]:
    languages = tuple(dict.fromkeys(text.split(",")))
    for language in languages:
        if language not in _LANGUAGES:
            hint = did_you_mean(language, _LANGUAGES)
            raise argparse.ArgumentTypeError(
                f"there is no example in {language!r}{hint}; there are {', '.join(_LANGUAGES)}"
            )
    return languages


def _check_model(arguments: Namespace, model: Any, options: Any) -> None:
    """Refuses the model before the export, if it cannot have one of the programs."""
    if arguments.code is None or "cpp" not in arguments.code:
        return
    from mobilenet.export.example_in_cpp import check_preprocessing

    check_preprocessing(model.transform.name, options.size or model.transform.size)


def _write(made: Made, arguments: Namespace) -> list[str]:
    from mobilenet.export.example_code import write_examples

    return write_examples(made.file, arguments.code or _DEFAULT)


CODE = Companion("code", _add, _write, check_model=_check_model, is_default=True)
