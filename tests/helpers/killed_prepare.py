"""Prepares SOURCE again and again, each time killed before another operation on a file.

Usage: killed_prepare.py SOURCE OUTPUT; prints the number of operations of a whole run.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import mobilenet  # noqa: F401  repairs NumPy first
from mobilenet.packing.prepare import PrepareOptions, prepare

KILLED = 137
_NUM_EARLY = 16  # operations until what a killed run left is removed and the source listed
OPERATIONS = ("open", "os.rename", "os.remove", "os.mkdir", "os.truncate", "os.listdir")


def run(source: Path, output: Path, kill_before: int = 0) -> tuple[int, int]:
    """Prepares in a process of its own; gives its exit code and how many operations it began."""
    reader, writer = os.pipe()
    process = os.fork()
    if not process:
        number = 0

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal number
            if event in OPERATIONS and str(output) in str(arguments[0]):
                number += 1
                if number == kill_before:
                    os._exit(KILLED)

        sys.addaudithook(count)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            prepare(PrepareOptions(source, output))
        except BaseException as error:  # the parent has to hear it
            os.write(writer, str(error).encode())
            os._exit(2)
        os.write(writer, str(number).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as said:
        text = said.read()
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert code in (0, KILLED), text
    return code, int(text or 0)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def main(source: Path, output: Path) -> None:
    _, num_operations = run(source, output)
    expected = contents(output)
    shutil.rmtree(output)
    for first in range(1, num_operations + 1):
        run(source, output, first)
        run(source, output, 1 + first % _NUM_EARLY)
        run(source, output)
        assert contents(output) == expected, first
        shutil.rmtree(output)
    sys.stdout.write(f"{num_operations}\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
