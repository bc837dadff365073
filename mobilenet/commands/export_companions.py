"""The table of what `export` makes beside the ONNX file, and what is done with all of it."""

from __future__ import annotations

from argparse import Namespace

from mobilenet.commands.companion import Companion, Made
from mobilenet.commands.export_code import CODE
from mobilenet.commands.export_gluon import GLUON, GLUONCV
from mobilenet.commands.export_mar import MAR
from mobilenet.commands.export_package import PACKAGE
from mobilenet.commands.export_runtimes import ORT, TRITON
from mobilenet.commands.export_web import WEB

COMPANIONS = (CODE, PACKAGE, MAR, WEB, TRITON, ORT, GLUON, GLUONCV)
NAMES = tuple(companion.name for companion in COMPANIONS)


def listed() -> str:
    """The options in words: `--a, --b and --c`."""
    *others, last = (f"--{name}" for name in NAMES)
    return f"{', '.join(others)} and {last}"


def wanted(arguments: Namespace) -> list[Companion]:
    """Those whose option is given."""
    return [companion for companion in COMPANIONS if companion.is_wanted(arguments)]


def write_companions(made: Made, arguments: Namespace) -> None:
    """Makes those that are wanted or made by default, and says where they are."""
    has_defaults = made.is_new and made.file.suffix == ".onnx"
    for companion in COMPANIONS:
        if companion.is_wanted(arguments) or (companion.is_default and has_defaults):
            print("\n".join(companion.write(made, arguments)))
