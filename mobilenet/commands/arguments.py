"""Arguments that several commands share: models, data, settings, sizes, output files."""

from __future__ import annotations

import argparse
import os
import textwrap
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Annotated, Any, Callable

from mobilenet import settings
from mobilenet.commands.examples import EXAMPLES, epilog
from mobilenet.commands.json_output import json_to_write
from mobilenet.errors import ConfigError, did_you_mean
from mobilenet.inference.engines import NAMES
from mobilenet.pretrained.offline import OFFLINE
from mobilenet.settings.field_types import Count, Range
from mobilenet.settings.schema import Config, DataConfig, ModelConfig
from mobilenet.settings.shipped import recipes, shipped

Adder = Any  # argparse's type of subparsers has no public name
MODEL = (
    "a run folder, a checkpoint, a file (.params, .onnx, .safetensors, .npz) or the name of"
    " published weights (mobilenet weights)"
)
_SETTINGS = "settings of the configuration to replace, e.g. model.width_multiplier=0.5"


def add_command(adder: Adder, name: str, run: Callable[[Namespace], int]) -> ArgumentParser:
    """The parser of a command; `run` returns the exit code, and its docstring is the help."""
    text = (run.__doc__ or "").strip()
    parser: ArgumentParser = adder.add_parser(
        name,
        help=text.splitlines()[0],
        description="\n\n".join(textwrap.fill(part, 79) for part in text.split("\n\n")),
        epilog=epilog(EXAMPLES.get(name, ())),
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_model(parser: ArgumentParser) -> None:
    """Adds MODEL, settings that replace some of its configuration, and `--config`."""
    parser.add_argument("model", type=Path, metavar="MODEL", help=MODEL)
    add_settings(parser)
    add_config(parser)


def add_settings(parser: ArgumentParser) -> None:
    """Adds `key.sub=value` ..., which replace settings of the configuration."""
    argument: Any = parser.add_argument(
        "settings", nargs="*", metavar="key.sub=value", help=_SETTINGS
    )
    argument.completer = _setting_names


def _setting_names(**_: object) -> list[str]:
    """Completions of settings for the shell; argcomplete calls this."""
    entries = settings.documentation(Config)
    return [f"{entry.key}=" for entry in entries if "." in entry.key]


def add_config(parser: ArgumentParser) -> None:
    """Adds `--config`, for a model without a configuration of its own, and `--offline`."""
    parser.add_argument(
        "--config", type=shipped, help="YAML configuration of a file (the .yaml beside it)"
    )
    add_offline(parser)


def add_offline(parser: ArgumentParser) -> None:
    """Adds `--offline`, which forbids downloading published weights."""
    parser.add_argument(
        "--offline", action=_Offline, nargs=0, help="download nothing; also MOBILENET_OFFLINE=1"
    )


class _Offline(argparse.Action):
    """Sets the environment variable, which child processes inherit."""

    def __call__(self, *_: object) -> None:
        os.environ[OFFLINE] = "1"


def add_data(parser: ArgumentParser) -> None:
    """Adds `--data`, the labelled images to validate on."""
    parser.add_argument(
        "--data",
        type=Path,
        help="record file, folder of records, or folder with a folder of images per class"
        " (default: the validation records of its configuration)",
    )


def add_int8(parser: ArgumentParser) -> None:
    """Adds `--int8` and its `--calibration`."""
    parser.add_argument("--int8", action="store_true", help="compute in 8-bit integers, on the CPU")
    add_calibration(parser)


def add_engine(parser: ArgumentParser, default: str) -> None:
    """Adds `--engine`; `default` says what runs the model without it."""
    parser.add_argument(
        "--engine",
        choices=tuple(NAMES),
        metavar="ENGINE",
        help=f"what runs the model: {', '.join(NAMES)} ({default})",
    )


def add_calibration(parser: ArgumentParser) -> None:
    """Adds `--calibration`, the images on which int8 is calibrated."""
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="DATA",
        help="images to calibrate --int8 with: record file, folder of records, or folder of images"
        " (default: the training images beside the data, else the data)",
    )


def add_json(parser: ArgumentParser) -> None:
    """Adds `--json FILE`, the result as JSON."""
    parser.add_argument(
        "--json",
        type=json_to_write,
        metavar="FILE",
        help="also write the result to FILE as JSON; - is standard output, with nothing else on it",
    )


def load_config(path: Path, overrides: list[str]) -> Config:
    """The configuration in the YAML file that `shipped` finds for `path`.

    Raises:
        ConfigError: It cannot be read, or a setting is wrong.
    """
    found = shipped(path)
    if not found.exists():
        hint = did_you_mean(str(path), recipes())
        if hint:
            raise ConfigError(f"{path}: there is no such configuration{hint}")
    return settings.load(Config, found, overrides)


def given(arguments: Namespace, *names: str) -> dict[str, Any]:
    """The arguments among `names` that were given; the callee has defaults for the others."""
    values = {name: getattr(arguments, name, None) for name in names}
    return {name: value for name, value in values.items() if _is_given(value)}


def _is_given(value: object) -> bool:
    # 0 and 0.0 are given values.
    return not (value is None or value is False or value in ((), []))


def refuse(arguments: Namespace, circumstance: str, *names: str) -> None:
    """Refuses options that would have no effect.

    Raises:
        ConfigError: One of the options `names` was given.
    """
    for name in given(arguments, *names):
        raise ConfigError(f"--{name.replace('_', '-')} has no effect {circumstance}")


def _read_as(kind: Any) -> Callable[[str], Any]:
    """An argparse type that reads and checks the text like a setting of type `kind`."""

    def read(text: str) -> Any:
        try:
            return settings.value(kind, text)
        except ConfigError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


def _several(read: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    """An argparse type for values separated by commas; repeated ones are dropped."""
    return lambda text: tuple(dict.fromkeys(map(read, text.split(","))))


count = _read_as(Count)
"""A whole number of at least 1."""
port = _read_as(Annotated[int, Range(at_least=1, at_most=65535)])
"""A TCP port."""
port_or_any = _read_as(Annotated[int, Range(at_least=0, at_most=65535)])
"""A TCP port, or 0 for any free one."""
resolution = _read_as(settings.type_of(DataConfig, "resolution"))
"""Height and width of the network's input in pixels."""
resolutions = _several(resolution)
width = _read_as(settings.type_of(ModelConfig, "width_multiplier"))
"""A width multiplier."""
widths = _several(width)
