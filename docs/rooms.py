"""What the documents say of the rooms, made from the code: two tables, a picture, the API page.

Floors and imports are those that tests/test_rooms.py holds the code against. What happens in a
room, its door and what it must not know are in the docstring of its `__init__.py`.
"""

from __future__ import annotations

import ast
import re
import sys
from html import escape
from pathlib import Path
from typing import Iterator, NamedTuple

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from test_rooms import FLOOR, FLOORS, MODULES, PACKAGE, own_imports, room_of  # noqa: E402

_DOOR = re.compile(r"Door: (.*?)(?:\. Must not know (.*))?$")
API = """# API

The doors of the rooms: what each room gives to the others, and to programs that import the package.
[Design](design.md) says how the rooms lie. This page is made from the docstrings.
"""

_WIDTH, _ROW, _BOX, _CHARACTER, _GAP, _MARGIN = 1000, 58, 30, 8.2, 20, 40
_LANE = 10  # of an arrow that passes a floor
_BASE = FLOOR["errors"]  # no arrows lead here and below: everything stands on it
_STYLE = "font-family:sans-serif;font-size:13px"


class Room(NamedTuple):
    """A folder of the package, or a file beside the folders, by its docstring."""

    name: str
    floor: int
    what: str
    door: str
    unknown: str
    is_folder: bool

    @property
    def doors(self) -> list[str]:
        """The dotted names of what the room gives to others."""
        return [f"mobilenet.{self.name}.{name}" for name in re.findall(r"`([\w.]+)`", self.door)]


def rooms() -> list[Room]:
    """Every room, from the top floor down."""
    return [room_named(name) for floor in reversed(FLOORS) for name in floor.split()]


def room_named(name: str) -> Room:
    """A room, as its docstring describes it."""
    folder = PACKAGE / name
    path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    what, *others = (" ".join(part.split()).rstrip(".") for part in text.split("\n\n"))
    found = next(filter(None, map(_DOOR.match, others)), None)
    door, unknown = found.groups("") if found else ("", "")
    return Room(name, FLOOR[name] + 1, what, door, unknown, folder.is_dir())


def tables() -> str:
    """The folders with their doors, then the files beside them, as Markdown."""
    folders = [
        "| floor | room | what happens there | its door | must not know |",
        "|---|---|---|---|---|",
    ]
    files = ["| floor | file | what it does |", "|---|---|---|"]
    for room in rooms():
        if room.is_folder:
            door = re.sub(r"`[\w.]+\.(\w+)`", r"`\1`", room.door)
            cells = (str(room.floor), f"`{room.name}/`", room.what, door, room.unknown)
            folders.append(f"| {' | '.join(cells)} |")
        else:
            files.append(f"| {room.floor} | `{room.name}.py` | {room.what} |")
    return "\n".join([*folders, "", *files])


def api() -> str:
    """The page that mkdocstrings fills: a directive for each door."""
    parts = [API]
    for room in rooms():
        if room.doors:
            parts.append(f"\n## {room.name}\n\n{room.what}.\n")
            parts += [f"\n::: {name}\n" for name in room.doors]
    return "".join(parts)


def imports() -> dict[str, set[str]]:
    """The rooms that each room imports, without those that another import implies."""
    direct: dict[str, set[str]] = {name: set() for name in FLOOR}
    for module in set(MODULES) - {"__init__"}:
        direct[room_of(module)] |= set(map(room_of, own_imports(module) - {"__init__"}))
    below: dict[str, set[str]] = {}
    for name in sorted(FLOOR, key=FLOOR.__getitem__):
        direct[name].discard(name)
        below[name] = direct[name].union(*(below[other] for other in direct[name]))
    return {
        name: {other for other in others if not any(other in below[via] for via in others)}
        for name, others in direct.items()
    }


class _Picture:
    """Floors as rows from the top down; arrows run down through lanes between the boxes.

    A lane is a place in the row of a floor that an arrow passes. Boxes and lanes are drawn towards
    the mean place of what they are joined to, which also orders them, so that few arrows cross.
    """

    def __init__(self) -> None:
        self._rows: list[list[str]] = [floor.split() for floor in reversed(FLOORS)]
        self._paths: list[list[str]] = []
        for start, others in imports().items():
            self._paths += [self._path(start, end) for end in sorted(others) if FLOOR[end] > _BASE]
        self._x = {name: x for row in self._rows for name, x in _spread(row)}
        for number in range(60):
            for row in self._rows if number % 2 else reversed(self._rows):
                self._settle(row)

    def _path(self, start: str, end: str) -> list[str]:
        """The boxes and lanes that an arrow goes through."""
        lanes = []
        for row in range(_row(start) + 1, _row(end)):
            lanes.append(f"{start}>{end}@{row}")
            self._rows[row].append(lanes[-1])
        return [start, *lanes, end]

    def _settle(self, row: list[str]) -> None:
        """Moves the places of a row towards what they are joined to, as far as there is room."""
        joined: dict[str, list[float]] = {name: [self._x[name]] for name in row}
        for path in self._paths:
            for upper, lower in zip(path, path[1:]):
                for one, other in ((upper, lower), (lower, upper)):
                    if one in joined:
                        joined[one].append(self._x[other])
        wanted = {name: sum(places) / len(places) for name, places in joined.items()}
        row.sort(key=wanted.__getitem__)
        sizes = [_width(name) + _GAP for name in row]
        # Each place as far left, and as far right, as its neighbours and the margins allow.
        lefts, rights, low, high = [], [], float(_MARGIN), _WIDTH - sum(sizes)
        for name, size in zip(row, sizes):
            high += size
            lefts.append(min(max(wanted[name], low + size / 2), high - size / 2))
            low = lefts[-1] + size / 2
        low, high = _MARGIN + sum(sizes), float(_WIDTH)
        for name, size in zip(reversed(row), reversed(sizes)):
            low -= size
            rights.append(max(min(wanted[name], high - size / 2), low + size / 2))
            high = rights[-1] - size / 2
        for name, left, right in zip(row, lefts, reversed(rights)):
            self._x[name] = (left + right) / 2

    def svg(self) -> str:
        """The whole picture."""
        height = _ROW * len(self._rows)
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
            f' style="{_STYLE}" role="img" aria-label="Floors of rooms, and what imports what">'
        )
        parts = (*self._floors(), *self._arrows(), *self._boxes())
        return "\n".join([head, *parts, "</svg>", ""])

    def _floors(self) -> Iterator[str]:
        for row, _ in enumerate(self._rows):
            fill = "#f4f6f9" if row % 2 else "#ffffff"
            yield f'<rect x="0" y="{row * _ROW}" width="{_WIDTH}" height="{_ROW}" fill="{fill}"/>'
            yield _text(str(len(self._rows) - row), 18, row * _ROW + _ROW // 2 + 5, "#8a97a6")

    def _arrows(self) -> Iterator[str]:
        for path in self._paths:
            points = [(self._x[name], _row_of(name)) for name in path]
            (x, row), *others = points
            y = row * _ROW + (_ROW + _BOX) / 2
            steps = [f"M{x:.0f},{y:.0f}"]
            for other_x, other_row in others:
                end = other_row * _ROW + (_ROW - _BOX) / 2
                half = (y + end) / 2
                steps.append(
                    f"C{x:.0f},{half:.0f} {other_x:.0f},{half:.0f} {other_x:.0f},{end:.0f}"
                )
                x, y = other_x, end + _BOX
                steps.append(f"V{y:.0f}")
            steps.pop()
            yield f'<path d="{" ".join(steps)}" fill="none" stroke="#a9b8c8" stroke-width="1.2"/>'

    def _boxes(self) -> Iterator[str]:
        for name in FLOOR:
            is_folder = (PACKAGE / name).is_dir()
            fill, edge = ("#dbe8f5", "#6f93b8") if is_folder else ("#ffffff", "#b7c3cf")
            width, x = _width(name), self._x[name]
            y = _row(name) * _ROW + (_ROW - _BOX) / 2
            yield (
                f'<rect x="{x - width / 2:.0f}" y="{y:.0f}" width="{width:.0f}" height="{_BOX}"'
                f' rx="5" fill="{fill}" stroke="{edge}"/>'
            )
            weight = ' font-weight="bold"' if is_folder else ""
            label = f"{name}/" if is_folder else name
            yield _text(label, round(x), round(y) + 20, "#17324d", weight)


def picture() -> str:
    """Rooms on their floors as SVG.

    Left out are arrows that others imply, and those to the floors that everything stands on.
    """
    return _Picture().svg()


def _row(name: str) -> int:
    return len(FLOORS) - 1 - FLOOR[name]


def _row_of(name: str) -> int:
    return _row(name) if name in FLOOR else int(name.partition("@")[2])


def _width(name: str) -> float:
    return len(name) * _CHARACTER + 26 if name in FLOOR else _LANE


def _spread(row: list[str]) -> Iterator[tuple[str, float]]:
    for number, name in enumerate(row, start=1):
        yield name, _MARGIN + number * (_WIDTH - _MARGIN) / (len(row) + 1)


def _text(text: str, x: int, y: int, colour: str, more: str = "") -> str:
    return f'<text x="{x}" y="{y}" fill="{colour}" text-anchor="middle"{more}>{escape(text)}</text>'
