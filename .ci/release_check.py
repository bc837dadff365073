#!/usr/bin/env python3
"""Does what a new user does, from a clean clone, and writes down what happened.

Needs Python, git and make, and nothing else. In temporary folders it runs `make quickstart`,
`make test` and the commands of the README; it builds the source distribution and, from that, the
wheel; and it installs the wheel in an empty environment of every supported Python that it finds,
where a short main job runs outside of the repository.

    .ci/release_check.py [--pythons python3.9 /opt/python3.12/bin/python ...] [--log FILE]
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent
MINORS = range(9, 13)

# What makes the README's commands short: the sample in place of ImageNet, and one epoch of it.
REPLACED = {"DIR_OR_TAR": "images"}
SMALLER = (
    "model.classes=10 data.resolution=32 validation.short_side=32 training.batch_size=20"
    " training.epochs=1 schedule.warmup_epochs=0"
)
OWN_STEPS = ("make ", "pip install", "git clone", "cd ")

DRAW_SAMPLE = """
from pathlib import Path
from mobilenet.data.sample import write_sample
write_sample(Path("images"), 12, 7, size=32, seed=3)
"""
SMOKE = """
mobilenet --version
python -m mobilenet --help
mobilenet prepare --source images --output records
mobilenet train configs/quickstart.yaml --run run data.directory=records training.epochs=2
mobilenet validate run --json result.json
mobilenet export run --output model.onnx
mobilenet validate model.onnx --data records
mobilenet predict model.onnx images/val/blue-cross
"""


class Check:
    """Runs the steps one after the other, and keeps a line about each."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self.num_failed = 0
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")

    def say(self, line: str) -> None:
        """Writes a line for people and to the log."""
        print(line, flush=True)
        with self._log.open("a") as file:
            file.write(f"{line}\n")

    def run(self, name: str, command: Sequence[str], folder: Path, path: str = "") -> bool:
        """Runs a command in `folder`, programs of `path` first; says whether it ended well."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "PYTHON"))}
        environment["PATH"] = os.pathsep.join(filter(None, (path, environment["PATH"])))
        environment.pop("MFLAGS", None)
        start = time.monotonic()
        done = subprocess.run(
            command, cwd=folder, env=environment, text=True, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        seconds = time.monotonic() - start
        self.say(f"{'ok    ' if done.returncode == 0 else 'FAILED'} {seconds:6.0f} s  {name}")
        if done.returncode:
            self.num_failed += 1
            self.say(f"exit code {done.returncode}:\n{done.stdout[-3000:]}")
        elif name in ("make quickstart", "make test"):
            self.say("\n".join(f"                 {x}" for x in done.stdout.splitlines()[-8:]))
        return done.returncode == 0


def readme_commands(text: str) -> Iterator[str]:
    """Every line of the README's console blocks that is no step of its own here."""
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            command = line.split("  #")[0].removeprefix("$ ").strip()
            if command and not command.startswith(OWN_STEPS):
                yield command


def made_small(command: str) -> str:
    """The command as it is printed, with the sample's sizes after it where it trains."""
    for printed, given in REPLACED.items():
        command = command.replace(printed, given)
    trains = "train.py" in command or "mobilenet train" in command
    return f"{command} {SMALLER}" if trains else command


def check_clone(check: Check, clone: Path) -> None:
    """The commands of the README in a clean clone, as a new user gives them."""
    python = f"PYTHON={sys.executable}"
    check.run("make quickstart", ["make", python, "quickstart"], clone)
    check.run("make test", ["make", python, "test"], clone)
    programs = str(clone / ".venv" / "bin")
    check.run("the sample", [f"{programs}/python", "-c", DRAW_SAMPLE], clone)
    for command in readme_commands((clone / "README.md").read_text(encoding="utf-8")):
        check.run(f"README: {command}", ["sh", "-c", made_small(command)], clone, programs)


def build(check: Check, clone: Path, folder: Path) -> Path | None:
    """The wheel, built from the source distribution."""
    environment = folder / "build"
    check.run("environment to build in", [sys.executable, "-m", "venv", str(environment)], folder)
    python = str(environment / "bin" / "python")
    check.run("pip install build", [python, "-m", "pip", "install", "-q", "build"], folder)
    dist = str(folder / "dist")
    check.run("sdist and wheel", [python, "-m", "build", "--outdir", dist, str(clone)], folder)
    return next(Path(dist).glob("*.whl"), None)


def check_wheel(check: Check, wheel: Path, python: str, folder: Path) -> None:
    """Installs the wheel in an empty environment and runs a small main job outside of the clone."""
    folder.mkdir()
    environment = folder / "environment"
    programs = str(environment / "bin")
    label = f"Python {folder.name}"
    steps = [
        (f"{label}: empty environment", [python, "-m", "venv", str(environment)]),
        (f"{label}: pip install {wheel.name}", [f"{programs}/pip", "install", "-q", str(wheel)]),
        (f"{label}: the sample", [f"{programs}/python", "-c", DRAW_SAMPLE]),
        *((f"{label}: {line}", shlex.split(line)) for line in SMOKE.strip().splitlines()),
    ]
    for name, command in steps:
        program = shutil.which(command[0], path=programs) or command[0]
        if not check.run(name, [program, *command[1:]], folder, programs):
            break
    shutil.rmtree(folder)


def supported(candidates: Sequence[str]) -> dict[str, str]:
    """The interpreters that run, by version such as 3.11; the first of each version."""
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    found: dict[str, str] = {}
    for candidate in candidates:
        path = shutil.which(candidate)
        call = [path or candidate, "-c", program]
        done = subprocess.run(call, capture_output=True, text=True, check=False) if path else None
        version = done.stdout.strip() if done and done.returncode == 0 else ""
        if path and version in {f"3.{minor}" for minor in MINORS}:
            found.setdefault(version, path)
    return dict(sorted(found.items(), key=lambda entry: int(entry[0].split(".")[1])))


def main() -> int:
    """Everything; exit code 1 if a step failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    names = [f"python3.{minor}" for minor in MINORS]
    parser.add_argument("--pythons", nargs="+", default=[*names, sys.executable])
    parser.add_argument("--log", type=Path, default=ROOT / "build" / "release-check.log")
    arguments = parser.parse_args()
    check = Check(arguments.log)
    describe = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    commit = subprocess.run(describe, capture_output=True, text=True, check=True).stdout.strip()
    pythons = supported(arguments.pythons)
    check.say(f"commit {commit}, {time.strftime('%Y-%m-%d')}, Python {', '.join(pythons)}")
    with tempfile.TemporaryDirectory(prefix="release-check-") as name:
        folder = Path(name)
        clone = folder / "clone"
        call = ["git", "clone", "--quiet", "--no-local", str(ROOT), str(clone)]
        if check.run("git clone", call, folder):
            wheel = build(check, clone, folder)
            for version, python in pythons.items() if wheel else ():
                check_wheel(check, wheel, python, folder / version)
            check_clone(check, clone)
    missing = {f"3.{minor}" for minor in MINORS} - set(pythons)
    if missing:
        check.say(f"not found, so not checked: Python {', '.join(sorted(missing))}")
    check.say(f"{check.num_failed} steps failed")
    return 1 if check.num_failed else 0


if __name__ == "__main__":
    sys.exit(main())
