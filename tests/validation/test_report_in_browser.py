"""The report as a browser draws it: narrow and wide, light and dark."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from typing import Any

import pytest
from reports import answers, report

from mobilenet.validation.report.page import page

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--enable-logging=stderr"),
)
WIDTHS = (400, 1280)
THEMES = {"light": (), "dark": ("--blink-settings=preferredColorScheme=0",)}

# Script of a page around the report in frames of both widths. It tells of each frame what a reader
# would notice: text and its contrast (WCAG 2.1, 1.4.3), what sticks out, and what was fetched.
MEASURE = """
const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255)
  .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
const numbers = colour => colour.match(/[0-9.]+/g).map(Number);
const isClear = colour => numbers(colour)[3] === 0;
const contrast = (one, other) => {
  const [low, high] = [luminance(numbers(one)), luminance(numbers(other))].sort((a, b) => a - b);
  return (high + .05) / (low + .05);
};
const background = (element, style) => {
  while (isClear(style(element).backgroundColor)) element = element.parentElement;
  return style(element).backgroundColor;
};
const measured = frame => {
  const view = frame.contentWindow, page = frame.contentDocument;
  const style = element => view.getComputedStyle(element);
  const texts = [...page.body.querySelectorAll('*')].filter(element =>
    [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())
    && element.tagName !== 'title' && element.getClientRects().length);
  return {
    width: page.documentElement.scrollWidth,
    tables: [...page.querySelectorAll('.table')].map(t => t.scrollWidth - t.clientWidth),
    rows: page.querySelectorAll('tbody tr').length,
    charts: [...page.querySelectorAll('svg')].map(svg => svg.getBoundingClientRect().height),
    images: [...page.images].map(image => image.naturalWidth),
    fetched: view.performance.getEntriesByType('resource').map(entry => entry.name),
    page: style(page.body).backgroundColor,
    texts: texts.map(element => ({
      text: element.textContent.slice(0, 40),
      size: element.closest('svg') ? element.getBoundingClientRect().height
        : parseFloat(style(element).fontSize),
      contrast: contrast(element.closest('svg') ? style(element).fill : style(element).color,
        background(element.closest('svg') ? element.closest('div') : element, style)),
    })),
  };
};
window.onload = () => {
  const found = [...document.querySelectorAll('iframe')].map(measured);
  document.body.innerHTML = '';
  document.body.append('MEASURED' + JSON.stringify(found) + 'END');
};
"""


@pytest.fixture(scope="module", params=THEMES)
def drawn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The theme, what the script found in each frame, and what the browser complained of."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("needs Chromium (apt-get install chromium)")
    folder = tmp_path_factory.mktemp("browser")
    eager = html.escape(page(report(answers())).replace('loading="lazy"', ""))
    frames = "".join(f'<iframe width="{w}" height="900" srcdoc="{eager}"></iframe>' for w in WIDTHS)
    path = folder / "frames.html"
    path.write_text(
        f'<!DOCTYPE html><meta charset="utf-8"><script>{MEASURE}</script><body>{frames}',
        encoding="utf-8",
    )
    flags = (*FLAGS, *THEMES[request.param], f"--user-data-dir={folder / 'profile'}")
    command = [browser, *flags, "--dump-dom", path.as_uri()]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    found = re.search(r"MEASURED(\[.*\])END", result.stdout)
    assert found, result.stderr
    complaints = [line for line in result.stderr.splitlines() if "CONSOLE" in line]
    return request.param, json.loads(html.unescape(found[1])), complaints


def test_nothing_is_wrong_and_nothing_is_fetched(drawn: Any) -> None:
    _, frames, complaints = drawn
    assert complaints == []
    assert [frame["fetched"] for frame in frames] == [[], []]


def test_nothing_sticks_out(drawn: Any) -> None:
    _, frames, _ = drawn
    assert [frame["width"] for frame in frames] == list(WIDTHS)
    assert [frame["tables"] for frame in frames] == [[0, 0], [0, 0]]


def test_tables_charts_and_pictures_are_there(drawn: Any) -> None:
    for frame in drawn[1]:
        assert frame["rows"] == 3 * 8  # of the worst classes, the scores and the matrix
        assert len(frame["charts"]) == 3
        assert min(frame["charts"]) > 200
        assert len(frame["images"]) > 10
        assert set(frame["images"]) == {160}


def test_text_is_readable(drawn: Any) -> None:
    theme, frames, _ = drawn
    for frame in frames:
        assert (int(re.findall(r"\d+", frame["page"])[0]) < 128) == (theme == "dark")
        assert len(frame["texts"]) > 100
        for text in frame["texts"]:
            assert text["size"] >= 10, text
            assert text["contrast"] >= 4.5, text
