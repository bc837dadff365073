#!/usr/bin/env python3
"""Does what a new user does, from a clean clone, and writes down what happened.

Needs Python, git and make, and nothing else. In temporary folders it builds the source distribution
and, from that, the wheel; installs the wheel in an empty environment of every Python that is asked
for, where the README's job runs outside of the repository; and in the clone it runs `make
quickstart`, `make test`, `make notebooks` and the commands of the README. That job is done on an
ILSVRC2012 of a few images. Where root runs this and debootstrap is there, the README's first
commands also run on bare Debian systems (`.ci/fresh_machines.sh`).

    .ci/release_check.py [--pythons python3.9 /opt/python3.12/bin/python ...] [--log FILE]

The log has a line for every step; what the steps said is in a second file beside it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Iterable, Sequence

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

import readme_commands as readme  # noqa: E402

SUITABLE = "import sys, venv, ensurepip; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 14))"
TARS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import mini_imagenet
mini_imagenet.official_tars(Path("ILSVRC2012"))
"""
VALIDATE_EXPORTED = "mobilenet validate mobilenetv2.onnx --data data/imagenet"

RELEASES = ("bookworm", "trixie", "testing")

Step = tuple[str, Sequence[str]]
"""A name and a command."""


class Check:
    """Runs the steps one after the other, and keeps a line about each."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self.details = log.with_name(f"{log.stem}-details{log.suffix}")
        self.num_failed = 0
        log.parent.mkdir(parents=True, exist_ok=True)
        for path in (log, self.details):
            path.write_text("", encoding="utf-8")

    def say(self, line: str) -> None:
        """Writes a line for people and to the log."""
        print(line, flush=True)
        for path in (self._log, self.details):
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")

    def run(self, steps: Iterable[Step], folder: Path, programs: str = "") -> bool:
        """Runs commands in `folder`, programs of `programs` first, up to one that fails."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MAKE", "MFLAGS", "PYTHON"))
        }
        environment["PATH"] = os.pathsep.join(filter(None, (programs, environment["PATH"])))
        return all(self._step(name, command, folder, environment) for name, command in steps)

    def _step(
        self, name: str, command: Sequence[str], folder: Path, environment: dict[str, str]
    ) -> bool:
        start = time.monotonic()
        with self.details.open("a", encoding="utf-8") as output:
            # env looks for the program in the PATH that it is given.
            done = subprocess.run(
                ["env", *command], cwd=folder, env=environment, check=False,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.num_failed += done.returncode != 0
        verdict = "FAILED" if done.returncode else "ok    "
        shown = textwrap.shorten(name, 110, placeholder=" ...")
        self.say(f"{verdict} {time.monotonic() - start:6.0f} s  {shown}")
        return done.returncode == 0


def build(check: Check, clone: Path, folder: Path) -> Path | None:
    """The wheel, built from the source distribution."""
    environment, dist = folder / "build", folder / "dist"
    python = str(environment / "bin" / "python")
    steps: list[Step] = [
        ("environment to build in", [sys.executable, "-m", "venv", str(environment)]),
        ("pip install build", [python, "-m", "pip", "install", "-q", "build"]),
        ("sdist, and the wheel from it", [python, "-m", "build", "-o", str(dist), str(clone)]),
    ]
    return next(dist.glob("*.whl")) if check.run(steps, folder) else None


def check_wheel(check: Check, wheel: Path, python: str, folder: Path) -> None:
    """Installs the wheel in an empty environment and does the README's job outside of the clone."""
    folder.mkdir()
    environment = folder / "environment"
    programs = str(environment / "bin")
    small = [readme.as_installed(readme.made_small(x)) for x in readme.imagenet_commands()]
    job = [["mobilenet", "--version"], ["mobilenet", "--help"], *small, VALIDATE_EXPORTED.split()]
    steps: list[Step] = [
        ("empty environment", [python, "-m", "venv", str(environment)]),
        (f"pip install {wheel.name}", ["pip", "install", "-q", str(wheel)]),
        # As the package says by itself where pip refuses MXNet; elsewhere it is there already.
        ("pip install mxnet", ["pip", "install", "-q", "--no-deps", "mxnet==1.9.1"]),
        ("the miniature tars", ["python", "-c", TARS, str(ROOT / "tests" / "helpers")]),
        *((" ".join(words), words) for words in job),
    ]
    check.run(((f"{python}: {name}", command) for name, command in steps), folder, programs)
    shutil.rmtree(folder)


def check_clone(check: Check, clone: Path) -> None:
    """What the README says, in a clean clone, and the notebooks."""
    make = ["make", f"PYTHON={sys.executable}"]
    for target in ("quickstart", "test", "notebooks"):
        check.run([(f"make {target}", [*make, target])], clone)
    steps: list[Step] = [("the miniature tars", ["python", "-c", TARS, "tests/helpers"])]
    steps += [(f"README: {x}", readme.made_small(x)) for x in readme.imagenet_commands()]
    check.run(steps, clone, str(clone / ".venv" / "bin"))


def check_bare_systems(check: Check) -> None:
    """The README's first commands on systems that have nothing but what it names."""
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        check.say("not run           bare Debian systems: they need root and debootstrap")
        return
    for release in RELEASES:
        check.run([(f"a bare {release}", [str(ROOT / ".ci" / "fresh_machines.sh"), release])], ROOT)


def suitable(check: Check, candidates: Sequence[str]) -> list[str]:
    """The Pythons that the package can run on; each of the others is a step that failed."""
    return [x for x in candidates if check.run([(f"{x} is there", [x, "-c", SUITABLE])], ROOT)]


def main() -> int:
    """Everything; exit code 1 if a step failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    names = [f"python3.{minor}" for minor in range(9, 15)]
    parser.add_argument("--pythons", nargs="+", default=names)
    parser.add_argument("--log", type=Path, default=ROOT / "build" / "release-check.log")
    arguments = parser.parse_args()
    check = Check(arguments.log)
    describe = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    commit = subprocess.run(describe, capture_output=True, text=True, check=True).stdout.strip()
    check.say(f"commit {commit}, {time.strftime('%Y-%m-%d')}, details in {check.details}")
    pythons = suitable(check, arguments.pythons)
    with tempfile.TemporaryDirectory(prefix="release-check-") as name:
        folder = Path(name)
        clone = folder / "clone"
        call = ["git", "clone", "--quiet", "--no-local", str(ROOT), str(clone)]
        if check.run([("git clone", call)], folder):
            wheel = build(check, clone, folder)
            for number, python in enumerate(pythons if wheel else ()):
                check_wheel(check, wheel, python, folder / str(number))
            check_clone(check, clone)
            check_bare_systems(check)
    check.say(f"{check.num_failed} steps failed")
    return 1 if check.num_failed else 0


if __name__ == "__main__":
    sys.exit(main())
