"""Entry point of `python -m mobilenet`, the `mobilenet` command and the three scripts.

Reports in one sentence why the command line itself cannot be loaded.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Sequence

from mobilenet.compat.native_libraries import MissingLibraries

_SET_UP = "run `make setup` and use .venv/bin/python, or `pip install .` with this Python"
_MXNET_ALONE = (
    "run `{python} -m pip install --no-deps mxnet==1.9.1`: pip leaves it out, because it needs a"
    " NumPy below 2, and there is none for Python 3.13 and later"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; 2 if this Python cannot run it."""
    _open_standard_streams()
    if not (3, 9) <= sys.version_info[:2] <= (3, 14):
        version = ".".join(map(str, sys.version_info[:2]))
        return _refuse(f"MXNet 1.9.1 needs Python 3.9 to 3.14, and {sys.executable} is {version}")
    try:
        from mobilenet.cli import main as run  # noqa: PLC0415 - what it needs may be missing

        return run(arguments)
    except MissingLibraries as error:
        return _refuse(str(error))
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("mobilenet"):
            raise
        return _refuse(f"{sys.executable} lacks the package '{error.name}'; {_remedy(error.name)}")
    except ImportError as error:
        if ".so" not in str(error):
            raise
        return _refuse(
            f"a library cannot be loaded ({error}); install the package that has this library"
        )


def _remedy(package: str | None) -> str:
    is_alone = package == "mxnet" and sys.version_info[:2] >= (3, 13)
    return _MXNET_ALONE.format(python=sys.executable) if is_alone else _SET_UP


def _open_standard_streams() -> None:
    """Opens closed standard streams; otherwise the next file would get their number and output."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    # File names in any script, and file names that are not valid text.
    for stream, errors in ((sys.stdout, "backslashreplace"), (sys.stdin, "surrogateescape")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def _refuse(message: str) -> int:
    sys.stderr.write(f"mobilenet: {message}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
