"""`export --code`: example programs beside the ONNX file."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser, Namespace

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


def _write(made: Made, arguments: Namespace) -> list[str]:
    from mobilenet.export.example_code import write_examples

    return write_examples(made.file, arguments.code or _DEFAULT)


CODE = Companion("code", _add, _write, is_default=True)
