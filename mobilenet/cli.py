"""The command line: parsing, messages and exit codes; every command is a use case elsewhere.

Exit codes: 0 done; 1 the work ran and the answer is no; 2 the user's mistake; 130 interrupted
by Ctrl-C, 143 by SIGTERM.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Callable, Sequence

from mobilenet import __version__
from mobilenet.commands import data, distributed, export, training, validation
from mobilenet.errors import RunStopped, UserError, VerificationError

_COMMANDS = (
    data.add_prepare,
    data.add_verify,
    training.add_train,
    distributed.add_launch,
    training.add_compare,
    validation.add_validate,
    validation.add_audit,
    validation.add_history,
    validation.add_predict,
    export.add_export,
    training.add_quickstart,
)


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
    for add in _COMMANDS:
        add(adder)
    return parser
