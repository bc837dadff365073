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
    prediction,
    training,
    validation,
    weights,
)
from mobilenet.commands.examples import OVERVIEW, epilog
from mobilenet.commands.json_output import alone_on_standard_output
from mobilenet.commands.mistyped import command_meant, options_meant
from mobilenet.compat.shared_processors import shared_processors
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
    training.add_preview,
    training.add_find_rate,
    training.add_train,
    training.add_average,
    distributed.add_launch,
    training.add_compare,
    validation.add_validate,
    validation.add_audit,
    validation.add_history,
    prediction.add_predict,
    prediction.add_serve,
    export.add_export,
    importing.add_import,
    weights.add_weights,
    machine.add_info,
    machine.add_bench,
    training.add_quickstart,
)

_WITH_SETTINGS = ("settings", "models")  # positional arguments among which settings may be


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and gives its exit code; mistakes are one line on standard error."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parsed = _parse(_parser(), words)
    run: Callable[[argparse.Namespace], int] = parsed.run
    try:
        with shared_processors(), alone_on_standard_output(getattr(parsed, "json", None)):
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


def _parse(parser: _Parser, words: list[str]) -> argparse.Namespace:
    if "_ARGCOMPLETE" in os.environ:
        _complete(parser)
    if not words:
        parser.print_help()
        parser.exit()
    command = next((word for word in words if not word.startswith("-")), None)
    if command is not None and command not in parser.commands:
        parser.error(command_meant(command, list(parser.commands)))
    parsed, rest = parser.parse_known_args(words)
    # argparse takes one run of positional arguments; settings may also follow an option.
    is_setting = [not text.startswith("-") and "=" in text for text in rest]
    settings = next((vars(parsed)[name] for name in _WITH_SETTINGS if name in parsed), None)
    if rest and (settings is None or not all(is_setting)):
        known = parser.commands[parsed.command]
        known.error(options_meant(known, rest, words, parsed))
    if settings is not None:
        settings.extend(rest)
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

    commands: dict[str, _Parser]
    """The parsers of the commands, by name."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser() -> _Parser:
    parser = _Parser(
        prog="mobilenet",
        description="MobileNet v2 for MXNet: prepare, train, validate, export to ONNX opset 7.",
        epilog=epilog(OVERVIEW),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mobilenet {__version__}")
    adder = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in _COMMANDS:
        add(adder)
    parser.commands = adder.choices
    return parser
