"""The documents: generated pages are current, links lead somewhere, what they quote exists."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from mobilenet import settings
from mobilenet.settings.schema import Config

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
GENERATED = ("configuration.md", "recipes.md", "api.md", "design.md", "pictures/rooms.svg")
PAGES = sorted([*DOCS.glob("*.md"), *ROOT.glob("*.md")])
NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_generated_pages_are_current(tmp_path: Path) -> None:
    call = [sys.executable, str(DOCS / "generate.py"), str(tmp_path)]
    subprocess.run(call, check=True)
    for name in GENERATED:
        made, kept = (tmp_path / name).read_text(), (DOCS / name).read_text()
        assert made == kept, f"{name} is not current: run `make docs`"


def anchor(title: str) -> str:
    """The name of a heading in a link, as GitHub and MkDocs make it."""
    return re.sub(r"[^\w\- ]", "", title.replace("`", "").lower()).strip().replace(" ", "-")


def anchors(path: Path) -> set[str]:
    return {anchor(title) for title in re.findall(r"^#+ (.+)$", path.read_text(), re.M)}


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    path = ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(name)):
        if re.match(r"https?:", target):
            continue
        file, _, place = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), f"{name} links to {target}"
        assert ROOT in found.parents, f"{name} links out of the repository: {target}"
        if place:
            assert place in anchors(found), f"{name} links to {target}"
        if path.parent == DOCS:
            assert DOCS in found.parents, f"{name} is published without {target}"


def test_the_site_builds(tmp_path: Path) -> None:
    call = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    published = {path.parent.name for path in tmp_path.rglob("index.html")} - {tmp_path.name}
    assert published == {path.stem for path in DOCS.glob("*.md")} - {"index"}
    assert not list(tmp_path.rglob("*.py"))


def test_every_page_is_in_both_tables_of_contents() -> None:
    pages = {path.name for path in DOCS.glob("*.md")}
    listed = re.findall(r"^  - (\S+\.md)$", text_of("mkdocs.yml"), re.M)
    linked = re.findall(r"^\| \[.+?\]\((\S+\.md)\) \|", text_of("docs/index.md"), re.M)
    assert sorted(listed) == sorted(pages)
    assert sorted(linked) == sorted(pages - {"index.md"})


@pytest.mark.parametrize("name", NAMES)
def test_settings_exist(name: str) -> None:
    keys = {setting.key for setting in settings.documentation(Config)}
    sections = "|".join(key for key in keys if "." not in key)
    quoted = re.findall(rf"`(?:\w+\.yaml )?((?:{sections})\.\w+)(?==|`| )", text_of(name))
    files = {"model.json", "model.onnx", "model.py", "data.mxnet", "log.jsonl"}
    assert set(quoted) - files <= keys


@pytest.mark.parametrize("name", NAMES)
def test_devices_are_quoted_for_the_shell(name: str) -> None:
    """Its parentheses are syntax: unquoted, the command is refused by bash."""
    assert not re.search(r"(?<!')training\.devices=\[gpu", text_of(name))


def test_tests_that_are_named_exist() -> None:
    file = ""
    named = re.findall(r"`(tests/[\w/]+\.py)?::(test_\w+)`", text_of("docs/reliability.md"))
    assert len(named) > 15
    for path, test in named:
        file = path or file
        assert re.search(rf"^def {test}\(", text_of(file), re.M), f"{file}::{test}"


@cache
def fixed_texts() -> list[str]:
    """Every text in the code, in pieces between what is put in, and the Makefile."""
    texts = [text_of("Makefile").replace("\\\n", "")]
    for path in sorted((ROOT / "mobilenet").rglob("*.py")):
        texts.extend(
            node.value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        )
    return texts


def messages() -> list[str]:
    return re.findall(r"^\| `(.+?)` \|", text_of("docs/troubleshooting.md"), re.M)


@pytest.mark.parametrize("message", messages())
def test_messages_are_in_the_code(message: str) -> None:
    pieces = [piece.strip(" :;,") for piece in message.split("…")]
    for piece in filter(None, pieces):
        found = any(piece in text.replace("`", "") for text in fixed_texts())
        assert found, f"no text of the code has: {piece}"
    assert max(map(len, pieces)) >= 11, "too little to recognise the message by"
