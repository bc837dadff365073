"""Which room may import which: a room imports only from lower floors, and inside it no circles.

A room is a folder of the package, or a file beside the folders. The docstring of a folder says what
happens there, its door and what it must not know. Files and functions stay short.
"""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "mobilenet"

FLOORS = (
    "compat errors files json_fields progress_bar",
    "skipped_items settings data distributed metrics published_accuracies gpus",
    "evaluation network packing",
    "onnx runs build machine network_table",
    "foreign",
    "pretrained",
    "inference",
    "training",
    "validation bench",
    "export",
    "notebook_figures quickstart serving",
    "api",
    "commands",
    "cli",
    "__main__",
)
# What a room must not know, besides everything on its own floor and above.
FORBIDDEN = {
    "mxnet": "compat errors files json_fields progress_bar skipped_items settings packing metrics"
    " published_accuracies",
    "mobilenet.settings": "data distributed metrics evaluation network packing onnx",
    "mobilenet.training": "inference foreign validation serving",
    "mobilenet.data": "network",
}
# The modules of training/ that know the configuration; all others take what these make of it.
CONFIGURED = ("training.build", "training.opened_teacher", "training.training_run")
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms.split()}
MODULES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", "."): path
    for path in PACKAGE.rglob("*.py")
}


def room_of(module: str) -> str:
    """The folder, or the file beside the folders, that the module is in."""
    return module.partition(".")[0]


def imports(module: str) -> set[str]:
    """Every dotted name that the module imports, wherever in its file."""
    names = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def own_imports(module: str) -> set[str]:
    """The modules of the package that the module imports (both `a` and `a.f` are of `a`)."""
    inside = {name.removeprefix("mobilenet.") for name in imports(module) if "mobilenet." in name}
    return {other for other in MODULES for name in inside if f"{name}.".startswith(f"{other}.")}


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"__init__"}))
def test_imports_only_from_lower_floors(module: str) -> None:
    room = room_of(module)
    assert room in FLOOR, f"give mobilenet/{room} its floor in {Path(__file__).name}"
    for other in {room_of(name) for name in own_imports(module)} - {room}:
        assert FLOOR[other] < FLOOR[room], f"{module} imports {other}, which is no lower floor"
    for unknown, rooms in FORBIDDEN.items():
        known = any(f"{name}.".startswith(f"{unknown}.") for name in imports(module))
        assert not (known and room in rooms.split()), f"{module} imports {unknown}"


def test_the_configuration_of_a_run_ends_where_its_parts_are_built() -> None:
    for module in MODULES:
        if room_of(module) == "training" and module not in CONFIGURED:
            known = [name for name in imports(module) if name.startswith("mobilenet.settings")]
            assert not known, (
                f"{module} imports {known[0]}: give it finished parts, or plain values"
            )


def test_no_circle_in_a_room() -> None:
    TopologicalSorter({module: own_imports(module) - {module} for module in MODULES}).prepare()


@pytest.mark.parametrize("room", sorted(room for room in FLOOR if (PACKAGE / room).is_dir()))
def test_a_room_says_what_happens_there_and_has_the_doors_it_names(room: str) -> None:
    text = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text("utf-8"))) or ""
    what, *_, last = (" ".join(part.split()) for part in text.split("\n\n")) if text else ("", "")
    said = re.fullmatch(r"Door: (.*)\. Must not know .{7,}\.", last)
    assert said and re.fullmatch(r".{20,}\.", what), (
        f"write mobilenet/{room}/__init__.py: What. Then, as the last paragraph: Door: `file.name`,"
        " ... Must not know ..."
    )
    for door in re.findall(r"`([\w.]+)`", said[1]):
        file, _, name = f"{room}.{door}".rpartition(".")
        tree = ast.parse(MODULES.get(file, PACKAGE / room / "__init__.py").read_text("utf-8"))
        defined = {getattr(node, "name", "") for node in tree.body}
        defined |= {alias.name for node in tree.body for alias in getattr(node, "names", ())}
        assert name in defined, f"mobilenet/{file} has no {name}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_files_and_functions_are_short(module: str) -> None:
    text = MODULES[module].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 40, f"{node.name} is longer than 40 lines"
