"""The README's commands, and how they become short enough to be tried.

The tests and .ci/release_check.py read this, and the latter has the standard library alone.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SCRIPTS = ("train.py", "validate.py", "export.py")
# Another size, and no GPU: the images are those of mini_imagenet.official_tars.
SMALL = (
    "training.devices=[cpu]",
    "training.batch_size=9",
    "training.epochs=1",
    "schedule.warmup_epochs=0",
    "model.width_multiplier=0.1",
    "data.resolution=64",
    "schedule.learning_rate=0.001",
)


def commands(page: Path, heading: str = "") -> list[str]:
    """Every line of the console blocks of a page, or of its section with that heading."""
    text = page.read_text(encoding="utf-8")
    if heading:
        text = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.M | re.S)
    lines = (line for block in blocks for line in block.replace("\\\n", " ").splitlines())
    return [line for line in lines if line.strip()]


def imagenet_commands() -> list[str]:
    """The README's job on ImageNet, from the tars to the package: all that is not make's."""
    lines = commands(ROOT / "README.md", "ImageNet in five commands")
    return [line for line in lines if not line.startswith("make ")]


def made_small(line: str) -> list[str]:
    """The words of a command that does in seconds what the printed one does in days."""
    words = [
        word for word in shlex.split(line, comments=True) if word not in ("--expect", "published")
    ]
    return [*words, *SMALL] if "train.py" in words else words


def as_installed(words: list[str]) -> list[str]:
    """The same command where there is no clone: `mobilenet train` for `python train.py`."""
    if words[0] == "python" and words[1] in SCRIPTS:
        return ["mobilenet", words[1].removesuffix(".py"), *words[2:]]
    return words
