"""Reads the comment at the head of a recipe: its command, hardware, source and aim."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

_HARDWARE, _SOURCE = "Hardware", "Source"
_AIM, _PUBLISHED = "Aim", "Published top-1 / top-5"


@dataclass(frozen=True)
class RecipeComment:
    """What a recipe says about itself; a field is empty where it does not say it.

    Attributes:
        command: What trains it; for a file that describes weights from elsewhere, what uses them.
        hardware: What the command is meant for.
        source: Where its settings come from.
        aim: What it is to reach, in the words of the comment.
        published: What the source has reached, in percent; it takes the place of an aim.
    """

    command: str
    hardware: str
    source: str
    aim: str
    published: str

    @property
    def goal(self) -> str:
        """What is to be reached, by which of the two labels; empty for what is no recipe."""
        labels = {_AIM: self.aim, _PUBLISHED: self.published}
        return "".join(f"{label}: {text}" for label, text in labels.items() if text)


def recipe_comment(path: Path) -> RecipeComment:
    """What the comment at the head of a YAML file says.

    Its first line is the command. The others begin with a label and a colon, and go on in the next
    line where that is indented.
    """
    command, *others = _paragraphs(path) or [""]
    labelled = dict(paragraph.partition(": ")[::2] for paragraph in others)
    fields = (_HARDWARE, _SOURCE, _AIM, _PUBLISHED)
    return RecipeComment(command, *(labelled.get(label, "") for label in fields))


def _paragraphs(path: Path) -> list[str]:
    """The lines of the comment, each with the indented ones that continue it."""
    lines = path.read_text(encoding="utf-8").splitlines()
    paragraphs: list[str] = []
    for line in itertools.takewhile(lambda line: line.startswith("#"), lines):
        text = line[1:]
        if paragraphs and text.startswith("  "):
            paragraphs[-1] += f" {text.strip()}"
        else:
            paragraphs.append(text.strip())
    return paragraphs
