"""Every command in the documents is one, and the README's five commands for ImageNet do the job."""

from __future__ import annotations

import importlib.util
import itertools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import mini_imagenet as mini
import pytest
from readme_commands import ROOT, SCRIPTS, commands, imagenet_commands, made_small

from mobilenet import cli

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Programs that are not ours: the horovod wheel is built, hosts are reached, models are served and
# images are made with these.
OTHERS = ("pip", "mkdir", "printf", "ssh-copy-id", "multi-model-server", "curl", "docker")

ALL = sorted({line for page in PAGES for line in commands(page)})


@pytest.mark.parametrize("line", ALL)
def test_is_a_command(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(line, comments=True)
    program, *arguments = itertools.dropwhile(re.compile(r"[A-Z_]+=").match, words)
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
        assert set(arguments) <= set(targets)
    elif program == "python" and arguments[0] == "-m":
        assert importlib.util.find_spec(arguments[1]) is not None
    elif program == "python" and arguments[0] not in SCRIPTS:
        assert (ROOT / arguments[0]).is_file()
    elif program in ("python", "mobilenet"):
        words = [word.removesuffix(".py") if word in SCRIPTS else word for word in arguments]
        cli._parse(cli._parser(), words)  # ends the process if it is none
    else:
        assert program in OTHERS


def test_configurations_that_are_named_exist() -> None:
    named = {word for line in ALL for word in shlex.split(line) if word.endswith(".yaml")}
    assert all((ROOT / name).is_file() for name in named if name.startswith("configs/"))
    assert any(name.startswith("configs/imagenet/") for name in named)


def test_quickstarts_table_has_the_rows_of_the_code() -> None:
    (block,) = re.findall(r"^```text\n(.*?)^```", PAGES[0].read_text(encoding="utf-8"), re.M | re.S)
    code = (ROOT / "mobilenet" / "quickstart.py").read_text(encoding="utf-8")
    names = re.findall(r'^            "([^"]+)": f"', code, re.M)
    assert [line[:20].strip() for line in block.splitlines()] == names


def test_every_command_has_its_row() -> None:
    rows = re.findall(r"^\| (`mobilenet [^|]+) \|", PAGES[0].read_text(encoding="utf-8"), re.M)
    named = {name for row in rows for name in re.findall(r"`(?:mobilenet )?([\w-]+)`", row)}
    (commands,) = cli._parser()._subparsers._group_actions
    assert named == set(commands.choices)


def test_from_the_tars_to_the_package(tmp_path: Path) -> None:
    """The five commands as printed but for the size, on a tiny ILSVRC2012 as it is given out."""
    mini.official_tars(tmp_path / "ILSVRC2012")
    for name in ("configs", *SCRIPTS):
        (tmp_path / name).symlink_to(ROOT / name)
    lines = imagenet_commands()
    assert len(lines) == 5
    for line in lines:
        words = made_small(line)
        if words[0] == "mobilenet":
            words[:1] = ["python", "-m", "mobilenet"]
        call = [sys.executable, *words[1:]]
        done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}: {done.stderr}"
    made = {path.name for path in (tmp_path / "package").iterdir()}
    assert {"README.md", "mobilenetv2-7.onnx", "mobilenetv2-7.tar.gz"} <= made
    assert (tmp_path / "report" / "report.html").is_file()
