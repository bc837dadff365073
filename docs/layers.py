"""Draws the floors of the package, as tests/test_rooms.py has them, as an SVG picture."""

from __future__ import annotations

import ast
import textwrap
from html import escape
from pathlib import Path
from typing import Iterator

LAYER_TEST = Path(__file__).parent.parent / "tests" / "test_rooms.py"

_WIDTH, _LABEL_WIDTH, _LINE, _GAP = 960, 150, 17, 7
_NUM_CHARACTERS = 108  # of modules in a line
_STYLE = "font-family:sans-serif;font-size:12.5px"


def rows(path: Path = LAYER_TEST) -> dict[str, str]:
    """The rooms of each floor, from the ground up."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    (value,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FLOORS"
    )
    return {str(floor): rooms for floor, rooms in enumerate(ast.literal_eval(value), start=1)}


def picture() -> str:
    """The doors are at the top, what they stand on below."""
    boxes = []
    y = _GAP
    for name, modules in reversed(list(rows().items())):
        lines = textwrap.wrap(modules.replace(" ", "  "), _NUM_CHARACTERS)
        height = _LINE * len(lines) + 10
        boxes += _box(name, lines, y, height)
        y += height + _GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" style="{_STYLE}"'
        ' role="img" aria-label="Floors of rooms; each room imports only from floors below">'
    )
    return "\n".join([head, *boxes, "</svg>", ""])


def _box(name: str, lines: list[str], y: int, height: int) -> Iterator[str]:
    yield (
        f'<rect x="4" y="{y}" width="{_WIDTH - 8}" height="{height}" rx="4"'
        ' fill="#eef3f8" stroke="#7a93ad"/>'
    )
    yield _text(name, 14, y + _LINE, "#1b3a57", ' font-weight="bold"')
    for number, line in enumerate(lines, start=1):
        yield _text(line, _LABEL_WIDTH, y + _LINE * number, "#222222")


def _text(text: str, x: int, y: int, colour: str, more: str = "") -> str:
    return f'<text x="{x}" y="{y}" fill="{colour}" xml:space="preserve"{more}>{escape(text)}</text>'
