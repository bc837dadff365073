"""The code of docs/python_api.md runs from top to bottom, and names what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mobilenet
from mobilenet.quickstart import sample_images

PAGE = (Path(__file__).parent.parent.parent / "docs" / "python_api.md").read_text(encoding="utf-8")
CODE = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)


def test_the_code_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names: dict[str, object] = {}
    for code in CODE:
        exec(code, names)
    printed = capsys.readouterr().out
    assert "runs/first: top-1" in printed
    assert "ONNX opset 7" in printed
    assert "gluoncv/mobilenetv2_1.0" in printed
    assert {path.name for path in Path("reports/first").iterdir()} >= {"report.html"}


def test_all_names_are_in_the_table() -> None:
    table = PAGE.partition("## All names")[2]
    for name in mobilenet.__all__:
        assert re.search(rf"^\|.*`{name}\b", table, re.M), name


def test_the_sample_has_what_the_page_reads(tmp_path: Path) -> None:
    images = sample_images(tmp_path / "images", 1, 2)
    for path in re.findall(r"data/images/(val/\S+?\.jpg)", PAGE):
        assert (images / path).is_file()
