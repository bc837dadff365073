"""The command line: arguments, messages and exit codes; every command is a use case elsewhere.

Exit codes: 0 done; 1 the work ran and the answer is no; 2 the user's mistake; 130 interrupted
by Ctrl-C, 143 by SIGTERM.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Sequence

from mobilenet import __version__, commands
from mobilenet.errors import RunStopped, UserError, VerificationError

if TYPE_CHECKING:
    Adder = argparse._SubParsersAction[argparse.ArgumentParser]

_SETTINGS = "settings of the configuration to replace, e.g. model.width_multiplier=0.5"
_MODEL = "a run folder, a checkpoint, a .params file (with --config) or an .onnx file"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and gives its exit code; mistakes are one line on standard error."""
    parsed = _parse(arguments)
    run: Callable[[argparse.Namespace], int] = parsed.run
    try:
        code = run(parsed)
        sys.stdout.flush()
    except (UserError, VerificationError, RunStopped) as error:
        return _fail(parsed.command, error, error.exit_code)
    except BrokenPipeError:
        # The reader of our output has left; the interpreter must not complain while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(parsed.command, f"{where}{error.strerror or error}", 2)
    except KeyboardInterrupt:
        return _fail(parsed.command, "interrupted", 130)
    return code


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    parsed, rest = parser.parse_known_args(arguments)
    # argparse takes one run of positional arguments; settings may also follow an option.
    is_setting = [not text.startswith("-") and "=" in text for text in rest]
    if rest and not (hasattr(parsed, "settings") and all(is_setting)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        parsed.settings.extend(rest)
    return parsed


def _fail(command: str, message: object, code: int) -> int:
    print(f"mobilenet {command}: {message}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mobilenet",
        description="MobileNet v2 for MXNet: prepare, train, validate, export to ONNX opset 7.",
    )
    parser.add_argument("--version", action="version", version=f"mobilenet {__version__}")
    adder = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (
        _add_prepare, _add_verify, _add_train, _add_validate, _add_compare, _add_audit,
        _add_history, _add_export, _add_predict, _add_quickstart,
    ):  # fmt: skip
        add(adder)
    return parser


def _add(
    adder: Adder, run: Callable[[argparse.Namespace], int], name: str
) -> argparse.ArgumentParser:
    text = (run.__doc__ or "").strip()
    parser = adder.add_parser(name, help=text.splitlines()[0], description=text)
    parser.set_defaults(run=run)
    return parser


def _add_prepare(adder: Adder) -> None:
    parser = _add(adder, commands.prepare, "prepare")
    add = parser.add_argument
    add("--source", type=Path, nargs="+", required=True, help="folders, tars or .lst files")
    add("--output", type=Path, required=True, help="folder for the record files")
    add("--synset", type=Path, help="file with one class per line, in label order")
    add("--split", choices=("train", "val"), help="pack only this split; the one of a plain tree")
    add("--root", type=Path, help="folder that the paths in .lst files are relative to")
    add("--short-side", type=int, help="re-encode larger images with this short side in pixels")
    add("--quality", type=int, help="JPEG quality of re-encoded images (95)")
    add("--minival", type=int, help="training images to hold out for choosing checkpoints")
    add("--seed", type=int, help="seed of the order of the training images (0)")
    add("--skip-bad", action="store_true", help="leave out images that do not decode")
    add("--workers", type=int, help="threads (one per processor)")
    add("--checksum", action="store_true", help="hold ILSVRC2012's tars against their SHA-1")


def _add_verify(adder: Adder) -> None:
    parser = _add(adder, commands.verify, "verify")
    parser.add_argument("path", type=Path, help="folder of record files, or one .rec file")
    parser.add_argument("--deep", action="store_true", help="also decode every image")
    parser.add_argument("--fix", action="store_true", help="rebuild a missing or wrong index")


def _add_train(adder: Adder) -> None:
    parser = _add(adder, commands.train, "train")
    parser.add_argument("config", type=Path, help="YAML configuration")
    parser.add_argument("settings", nargs="*", metavar="key.sub=value", help=_SETTINGS)
    parser.add_argument("--run", dest="folder", type=Path, help="run folder (runs/CONFIG)")
    parser.add_argument("--resume", action="store_true", help="continue the run in that folder")


def _add_validate(adder: Adder) -> None:
    parser = _add(adder, commands.validate, "validate")
    _add_model(parser)
    _add_data(parser)
    parser.add_argument("--report", type=Path, help="folder for a page, a table and the figures")
    parser.add_argument(
        "--views", choices=("one", "flip", "ten-crop"), default="one", help="views to average over"
    )
    parser.add_argument("--restrict", action="store_true", help="answer only classes of the data")
    parser.add_argument(
        "--labels", type=Path, help="JSON file with all right classes of each image"
    )
    parser.add_argument(
        "--expect", action="append", default=[], metavar="top1=FRACTION|top5=FRACTION|published",
        help="exit with code 1 if the accuracy is lower",
    )  # fmt: skip
    parser.add_argument(
        "--tolerance", type=float, help="fraction that may be missing (0; published: 0.01)"
    )


def _add_compare(adder: Adder) -> None:
    parser = _add(adder, commands.compare, "compare")
    parser.add_argument("first", type=Path, help=_MODEL)
    parser.add_argument("second", type=Path, help="likewise")
    _add_settings(parser)
    _add_data(parser)


def _add_audit(adder: Adder) -> None:
    parser = _add(adder, commands.audit, "audit")
    _add_model(parser)
    _add_data(parser)
    parser.add_argument(
        "--resolutions", type=_resolutions, default=(), metavar="PX,PX", help="e.g. 128,160,192"
    )


def _resolutions(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _add_history(adder: Adder) -> None:
    parser = _add(adder, commands.history, "history")
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="a run folder")
    parser.add_argument("settings", nargs="*", metavar="key.sub=value", help=_SETTINGS)
    _add_data(parser)
    parser.add_argument("--output", type=Path, metavar="FILE.html", help="page with the curve")


def _add_predict(adder: Adder) -> None:
    parser = _add(adder, commands.predict, "predict")
    parser.add_argument("model", type=Path, metavar="MODEL", help=_MODEL)
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE", help="files, folders, patterns, or - for a list"
    )
    parser.add_argument("--config", type=Path, help="YAML configuration of a .params file")
    parser.add_argument(
        "--set", action="append", default=[], metavar="key.sub=value", help=_SETTINGS
    )
    parser.add_argument("--format", choices=("table", "json", "csv"), default="table")


def _add_export(adder: Adder) -> None:
    parser = _add(adder, commands.export, "export")
    _add_model(parser)
    add = parser.add_argument
    add("--output", type=Path, help="file, or folder of a family (MODEL's name with .onnx)")
    add("--form", choices=("portable", "zoo"), help="folded (portable), or the model zoo's graph")
    add("--batch", type=int, help="fix the number of images per batch (any)")
    add("--any-size", action="store_true", help="take images of any height and width")
    add("--pixels", choices=("float", "uint8"), help="take pixels of 0 to 255, not normalised")
    add("--softmax", action="store_true", help="give probabilities, not logits")
    add("--half-weights", action="store_true", help="store the weights in half precision")
    add("--opset", type=int, help="of ONNX (7)")
    add("--data", type=Path, help="records or class folders whose images join the proof")
    add("--untrained", action="store_true", help="MODEL is a YAML configuration; random weights")
    add("--widths", type=_numbers(float), help="with --untrained: a family, e.g. 0.35,0.5,1")
    add("--resolutions", type=_numbers(int), help="with --untrained: a family, e.g. 128,224")
    add("--json", type=Path, help="also write what was made to this file")


def _numbers(number: Callable[[str], float]) -> Callable[[str], list[float]]:
    """A parser of numbers between commas."""

    def numbers(text: str) -> list[float]:
        return [number(part) for part in text.split(",")]

    return numbers


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help=_MODEL)
    _add_settings(parser)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        help="record file, or folder of records or of classes (the model's own)",
    )
    parser.add_argument("--json", type=Path, help="also write the result to this file")


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("settings", nargs="*", metavar="key.sub=value", help=_SETTINGS)
    parser.add_argument("--config", type=Path, help="YAML configuration of a .params file")


def _add_quickstart(adder: Adder) -> None:
    parser = _add(adder, commands.quickstart, "quickstart")
    parser.add_argument(
        "--output", type=Path, default=Path("runs/quickstart"), help="folder (runs/quickstart)"
    )
