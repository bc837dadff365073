"""The command line: parsing, messages and exit codes. The commands are in `commands/`.

Exit codes: 0 done; 1 the work ran and the answer is no; 2 the user's mistake; 130 interrupted
by Ctrl-C, 143 by SIGTERM.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from typing import Callable, NoReturn, Sequence, TextIO

from mobilenet import __version__
from mobilenet.commands import (
    data,
    distributed,
    export,
    importing,
    machine,
    training,
    validation,
    weights,
)
from mobilenet.errors import (
    RunStopped,
    UserError,
    VerificationError,
    in_a_sentence,
    reason,
)

_COMMANDS = (
    data.add_prepare,
    data.add_verify,
    training.add_train,
    training.add_average,
    distributed.add_launch,
    training.add_compare,
    validation.add_validate,
    validation.add_audit,
    validation.add_history,
    validation.add_predict,
    export.add_export,
    importing.add_import,
    weights.add_weights,
    machine.add_info,
    machine.add_bench,
    training.add_quickstart,
)

_WITH_SETTINGS = ("settings", "models")  # positional arguments among which settings may be


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; mistakes are one line on standard error."""
    parsed = _parse(arguments)
    run: Callable[[argparse.Namespace], int] = parsed.run
    try:
        code = run(parsed)
        sys.stdout.flush()
    except (UserError, VerificationError, RunStopped) as error:
        return _fail(parsed.command, error, error.exit_code)
    except BrokenPipeError:  # the reader of the output has closed it
        _flush_or_drop(sys.stdout)
        _flush_or_drop(sys.stderr)
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(parsed.command, f"{where}{reason(error)}", 2)
    except (RuntimeError, MemoryError) as error:
        message = in_a_sentence(error)
        if message is None:
            raise
        _end_failed_work()
        return _fail(parsed.command, message, 2)
    except KeyboardInterrupt:
        return _fail(parsed.command, "interrupted", 130)
    return code


def _end_failed_work() -> None:
    """Waits for MXNet's queued work, whose failures would otherwise be printed at exit."""
    mxnet = sys.modules.get("mxnet")
    if mxnet is not None:
        with contextlib.suppress(RuntimeError):
            mxnet.nd.waitall()


def _flush_or_drop(stream: TextIO) -> None:
    """Drops output without a reader; otherwise the interpreter would retry at exit and complain."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    if "_ARGCOMPLETE" in os.environ:
        _complete(parser)
    parsed, rest = parser.parse_known_args(arguments)
    # argparse takes one run of positional arguments; settings may also follow an option.
    is_setting = [not text.startswith("-") and "=" in text for text in rest]
    words = next((vars(parsed)[name] for name in _WITH_SETTINGS if name in parsed), None)
    if rest and (words is None or not all(is_setting)):
        _Parser(prog=f"mobilenet {parsed.command}").error(
            f"unrecognized arguments: {' '.join(rest)}"
        )
    if words is not None:
        words.extend(rest)
    return parsed


def _complete(parser: argparse.ArgumentParser) -> None:
    """Answers the shell's request for completions, and ends the process."""
    try:
        import argcomplete  # noqa: PLC0415 - an extra
    except ImportError:
        sys.exit(1)  # the line is unfinished and must not be run
    argcomplete.autocomplete(parser)


def _fail(command: str, message: object, code: int) -> int:
    _flush_or_drop(sys.stdout)
    with contextlib.suppress(OSError):  # nobody reads it
        print(f"mobilenet {command}: {message}", file=sys.stderr)
    _flush_or_drop(sys.stderr)
    return code


class _Parser(argparse.ArgumentParser):
    """Reports a mistake in one line that points to `--help`."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="mobilenet",
        description="MobileNet v2 for MXNet: prepare, train, validate, export to ONNX opset 7.",
    )
    parser.add_argument("--version", action="version", version=f"mobilenet {__version__}")
    adder = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in _COMMANDS:
        add(adder)
    return parser
