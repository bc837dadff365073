"""Libraries from wheels are loaded before MXNet, by the system's loader itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from compiled import shared_library

LOAD = """
import pathlib, sys
from mobilenet.compat.cuda_libraries import load_cuda_libraries
load_cuda_libraries(sys.argv[1:])
lines = pathlib.Path("/proc/self/maps").read_text().splitlines()
print(*sorted({line.split()[-1] for line in lines if "libstub" in line or "libmxnet" in line}))
"""


def loaded(packages: Path, **variables: str) -> set[str]:
    """The libraries that a process has after it."""
    call = [sys.executable, "-c", LOAD, str(packages)]
    environment = {**os.environ, **variables}
    done = subprocess.run(call, check=True, capture_output=True, text=True, env=environment)
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package mxnet whose library links one wheel's, which links another's."""
    folder = tmp_path_factory.mktemp("site-packages")
    source = folder / "empty.c"
    source.write_text("int stub;\n")
    inner = shared_library(folder / "nvidia" / "inner" / "lib" / "libstubinner.so.2", source)
    outer = shared_library(folder / "nvidia" / "outer" / "lib" / "libstubouter.so.1", source, inner)
    shared_library(folder / "mxnet" / "libmxnet.so", source, outer)
    (folder / "mxnet" / "__init__.py").touch()
    return folder


def test_libraries_of_wheels_are_loaded_with_what_they_need(packages: Path) -> None:
    wheels = {str(path) for path in packages.glob("nvidia/*/lib/*")}
    assert len(wheels) == 2
    assert loaded(packages) == wheels | {str(packages / "mxnet" / "libmxnet.so")}


def test_the_users_own_installation_comes_first(packages: Path, tmp_path: Path) -> None:
    own = shared_library(tmp_path / "libstubouter.so.1", packages / "empty.c")
    found = loaded(packages, LD_LIBRARY_PATH=str(tmp_path))
    assert found == {str(own), str(packages / "mxnet" / "libmxnet.so")}


def test_what_no_wheel_has_is_left_to_mxnet_to_miss(packages: Path, tmp_path: Path) -> None:
    missing = shared_library(tmp_path / "libstubmissing.so.1", packages / "empty.c")
    own = shared_library(tmp_path / "own" / "libmxnet.so", packages / "empty.c", missing)
    assert loaded(packages, MXNET_LIBRARY_PATH=str(own)) == set()


def test_nothing_is_loaded_without_wheels(packages: Path, tmp_path: Path) -> None:
    (tmp_path / "mxnet").symlink_to(packages / "mxnet")
    assert loaded(tmp_path) == set()
