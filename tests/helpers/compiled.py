"""Shared libraries that tests compile."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

STUB = Path(__file__).with_name("cuda_stub.c")


def shared_library(path: Path, source: Path, *links: Path) -> Path:
    """Compiles C to the library `path`, which looks for the libraries `links` by name alone."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (gcc) to make a library with")
    path.parent.mkdir(parents=True, exist_ok=True)
    call = [compiler, "-shared", "-fPIC", "-Wl,--no-as-needed", f"-Wl,-soname,{path.name}"]
    # Their own needs are not looked for: they are found when all is loaded.
    call += ["-Wl,--allow-shlib-undefined", "-o", str(path), str(source), *map(str, links)]
    subprocess.run(call, check=True)
    return path
