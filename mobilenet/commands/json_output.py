"""`--json FILE`: the result for machines, in a file or, for `-`, alone on standard output."""

from __future__ import annotations

import contextlib
import json
import sys
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Iterator

from mobilenet.commands.output_paths import file_to_write
from mobilenet.files import encoded, write_json

_STANDARD_OUTPUT = Path("-")


def json_to_write(text: str) -> Path:
    """As `file_to_write`, of JSON; refuses an existing file that is no JSON, such as a model."""
    path = Path(text)
    if path == _STANDARD_OUTPUT:
        return path
    path = file_to_write(text)
    if path.is_file():
        with path.open("rb") as file:
            if file.read(1) not in (b"", b"{", b"["):
                raise ArgumentTypeError(f"{path}: exists and is no JSON file; name another file")
    return path


@contextlib.contextmanager
def alone_on_standard_output(target: object) -> Iterator[None]:
    """With `--json -`, what people read goes to standard error, and JSON alone to standard output.

    Args:
        target: What `json_to_write` gave, or anything else that commands have as `json`.
    """
    if target != _STANDARD_OUTPUT:
        yield
        return
    with contextlib.redirect_stdout(sys.stderr):
        yield


def write_result(path: Path | None, content: object) -> None:
    """Writes what `--json` asked for, if it did."""
    if path == _STANDARD_OUTPUT:
        text = json.dumps(content, indent=2, ensure_ascii=False)
        assert sys.__stdout__ is not None, "opened by __main__"
        print(encoded(text).decode(), file=sys.__stdout__, flush=True)
    elif path is not None:
        write_json(path, content)
