"""What several commands take and print."""

from __future__ import annotations

import argparse
import os
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Annotated, Any, Callable

import mobilenet
from mobilenet import settings
from mobilenet.errors import ConfigError
from mobilenet.files import write_json
from mobilenet.settings.field_types import Count, Range
from mobilenet.settings.schema import Config, DataConfig, ModelConfig

Adder = Any  # argparse's type of subparsers has no public name
MODEL = "a run folder, a checkpoint, a .params file (with --config) or an .onnx file"
_SETTINGS = "settings of the configuration to replace, e.g. model.width_multiplier=0.5"
_PACKAGE = Path(mobilenet.__file__).parent


def add_command(adder: Adder, name: str, run: Callable[[Namespace], int]) -> ArgumentParser:
    """The parser of a command; its help is the docstring of `run`, which gives the exit code."""
    text = (run.__doc__ or "").strip()
    parser: ArgumentParser = adder.add_parser(name, help=text.splitlines()[0], description=text)
    parser.set_defaults(run=run)
    return parser


def add_model(parser: ArgumentParser) -> None:
    """A model, with its configuration and the settings that replace some of it."""
    parser.add_argument("model", type=Path, metavar="MODEL", help=MODEL)
    add_settings(parser)
    add_config(parser)


def add_settings(parser: ArgumentParser) -> None:
    """Settings that replace those of the configuration."""
    argument: Any = parser.add_argument(
        "settings", nargs="*", metavar="key.sub=value", help=_SETTINGS
    )
    argument.completer = _setting_names


def _setting_names(**_: object) -> list[str]:
    """What a shell may complete a setting to; called by argcomplete."""
    entries = settings.documentation(Config)
    return [f"{entry.key}=" for entry in entries if "." in entry.key]


def add_config(parser: ArgumentParser) -> None:
    """The configuration of a model that has none of its own."""
    parser.add_argument("--config", type=shipped, help="YAML configuration of a .params file")


def add_data(parser: ArgumentParser) -> None:
    """The labelled images that a model is asked for."""
    parser.add_argument(
        "--data",
        type=Path,
        help="record file, or folder of records or of classes (the model's own)",
    )


def add_int8(parser: ArgumentParser) -> None:
    """Integers instead of single precision, with the images that set their ranges."""
    parser.add_argument(
        "--int8", action="store_true", help="compute in 8-bit integers, on the CPU by oneDNN"
    )
    add_calibration(parser)


def add_calibration(parser: ArgumentParser) -> None:
    """The images that set the ranges of integers."""
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="DATA",
        help="images that set the ranges of --int8: record file, or folder of records or of images"
        " (those of the data; the training images, if it has them)",
    )


def add_json(parser: ArgumentParser) -> None:
    """A file for machines."""
    parser.add_argument(
        "--json", type=json_to_write, metavar="FILE", help="also write the result to FILE"
    )


def to_write(text: str) -> Path:
    """The path of something to be written; that it cannot be is told before the work, not after."""
    path = Path(text)
    nearest = next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())
    folder = nearest.parent if nearest == path.absolute() and nearest.is_file() else nearest
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise argparse.ArgumentTypeError(f"{path}: cannot be written there; choose another place")
    return path


def file_to_write(text: str) -> Path:
    """As `to_write`, of a file."""
    path = to_write(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{path}: is a folder; name a file")
    return path


def folder_to_write(text: str) -> Path:
    """As `to_write`, of a folder."""
    path = to_write(text)
    if path.is_file():
        raise argparse.ArgumentTypeError(f"{path}: is a file; name a folder")
    return path


def json_to_write(text: str) -> Path:
    """As `file_to_write`, of JSON; another file that is there, as a model, is not replaced."""
    path = file_to_write(text)
    if path.is_file():
        with path.open("rb") as file:
            if file.read(1) not in (b"", b"{", b"["):
                raise argparse.ArgumentTypeError(f"{path}: is there and no JSON; name another file")
    return path


def write_result(path: Path | None, content: object) -> None:
    """Writes what `add_json` asked for, if it did."""
    if path is not None:
        write_json(path, content)


def shipped(text: str) -> Path:
    """The path of a configuration; where there is nothing, of the package's own of that name.

    So that `configs/quickstart.yaml` is found from every folder, also without the repository.
    """
    path, own = Path(text), _PACKAGE / text
    return own if not path.exists() and own.is_file() else path


def load_config(path: Path, overrides: list[str]) -> Config:
    """The configuration in the YAML file `path`, or in the package's own of that name.

    Raises:
        ConfigError: It cannot be read, or a setting is wrong.
    """
    return settings.load(Config, shipped(str(path)), overrides)


def given(arguments: Namespace, *names: str) -> dict[str, Any]:
    """The arguments that were given; the others keep the defaults of what takes them."""
    values = {name: getattr(arguments, name, None) for name in names}
    return {
        name: value for name, value in values.items() if value is not None and value is not False
    }


def _read_as(kind: Any) -> Callable[[str], Any]:
    """Reads a text as a setting of type `kind` is read, within its range."""

    def read(text: str) -> Any:
        try:
            return settings.value(kind, text)
        except ConfigError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


def _several(read: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    """Reads values between commas, each once."""
    return lambda text: tuple(dict.fromkeys(map(read, text.split(","))))


count = _read_as(Count)
port = _read_as(Annotated[int, Range(at_least=1, at_most=65535)])
resolution = _read_as(settings.type_of(DataConfig, "resolution"))
resolutions = _several(resolution)
width = _read_as(settings.type_of(ModelConfig, "width_multiplier"))
widths = _several(width)
