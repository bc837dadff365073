"""The table of what `export` makes beside the ONNX file, and what is done with all of it."""

from __future__ import annotations

from argparse import Namespace

from mobilenet.commands.companion import Companion, Made
from mobilenet.commands.export_mar import MAR
from mobilenet.commands.export_package import PACKAGE
from mobilenet.commands.export_runtimes import ORT, TRITON
from mobilenet.commands.export_web import WEB

COMPANIONS = (PACKAGE, MAR, WEB, TRITON, ORT)
NAMES = tuple(companion.name for companion in COMPANIONS)


def listed() -> str:
    """The options in words: `--a, --b and --c`."""
    *others, last = (f"--{name}" for name in NAMES)
    return f"{', '.join(others)} and {last}"


def wanted(arguments: Namespace) -> list[Companion]:
    """Those whose option is given."""
    return [companion for companion in COMPANIONS if companion.is_wanted(arguments)]


def write_companions(made: Made, arguments: Namespace) -> None:
    """Makes those that are wanted and says where they are."""
    for companion in wanted(arguments):
        print("\n".join(companion.write(made, arguments)))
