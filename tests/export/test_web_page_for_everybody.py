"""The web page by keyboard, for screen readers, on phones, in both themes, by drag and drop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from browser import Browser, serving_folder
from tried_page import open_page, settled, shown, try_photo

# What sticks out, how small the text is, and its contrast (WCAG 2.1, 1.4.3).
MEASURE = """(() => {
  const numbers = colour => colour.match(/[0-9.]+/g).map(Number);
  const luminance = colour => numbers(colour).slice(0, 3).map(v => v / 255)
    .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const background = node => {
    while (numbers(getComputedStyle(node).backgroundColor)[3] === 0) node = node.parentElement;
    return getComputedStyle(node).backgroundColor;
  };
  const contrast = node => {
    const [low, high] = [luminance(getComputedStyle(node).color), luminance(background(node))]
      .sort((a, b) => a - b);
    return (high + .05) / (low + .05);
  };
  const texts = [...document.body.querySelectorAll('*')].filter(node => node.getClientRects().length
    && [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim()));
  return {
    width: document.documentElement.scrollWidth,
    page: luminance(background(document.body)),
    texts: texts.map(node => [node.textContent.slice(0, 30), contrast(node),
      parseFloat(getComputedStyle(node).fontSize)]),
    buttons: [...document.querySelectorAll('label')].filter(node => node.getClientRects().length)
      .map(node => [node.textContent, node.getBoundingClientRect().height]),
  };
})()"""


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    cv2.imwrite(str(path), np.random.default_rng(1).integers(0, 256, (90, 120, 3), np.uint8))
    return path


@pytest.fixture
def opened(browser: Browser, small_page: Path) -> Iterator[Browser]:
    with serving_folder(small_page) as server:
        open_page(browser, server.url)
        yield browser


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("width", "is_phone"), [(320, True), (390, True), (1280, False)])
def test_it_fits_and_is_readable(
    opened: Browser, photo: Path, theme: str, width: int, is_phone: bool
) -> None:
    opened.resize(width, 800, is_phone)
    scheme = [{"name": "prefers-color-scheme", "value": theme}]
    opened.call("Emulation.setEmulatedMedia", features=scheme)
    for path in (photo, Path(__file__)):  # an answer, and a sentence that says what is wrong
        try_photo(opened, path)
        found: dict[str, Any] = opened.value(MEASURE)
        assert found["width"] == width
        assert (found["page"] < 0.2) == (theme == "dark")
        assert len(found["texts"]) > 20
        for text, contrast, size in found["texts"]:
            assert contrast >= 4.5, text
            assert size >= 12, text
        names = [name for name, _ in found["buttons"]]
        assert names == ["Choose a photo", "Take a photo"][: 1 + is_phone]
        assert all(height >= 44 for _, height in found["buttons"])  # WCAG 2.1, 2.5.5
    opened.resize(1280, 800)


def test_the_keyboard_reaches_everything(opened: Browser) -> None:
    opened.call("Page.setInterceptFileChooserDialog", enabled=True)
    opened.press("Tab")
    assert opened.value("document.activeElement.id") == "choose"
    ring = "getComputedStyle(document.querySelector('label[for=choose]')).outlineStyle"
    assert opened.value(ring) == "solid"
    opened.press("Enter")
    opened.wait_for("true")
    assert "Page.fileChooserOpened" in [event.get("method") for event in opened.events]
    opened.press("Tab")
    assert opened.value("document.activeElement.textContent") == "net.onnx"
    opened.call("Page.setInterceptFileChooserDialog", enabled=False)


def test_a_screen_reader_finds_names_and_hears_the_answer(opened: Browser, photo: Path) -> None:
    said = try_photo(opened, photo)
    nodes = opened.call("Accessibility.getFullAXTree")["nodes"]
    seen = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    ]
    assert ("button", "Choose a photo") in seen
    assert ("heading", "MobileNet v2 of width 0.1") in seen
    assert ("image", "The part of the photo that the network sees") in seen
    assert [role for role, _ in seen].count("listitem") == 5
    (status,) = (node for node in nodes if node["role"].get("value") == "status")
    properties = {prop["name"]: prop["value"].get("value") for prop in status["properties"]}
    assert properties["live"] == "polite"
    assert said == opened.value("document.querySelector('[role=status]').textContent")
    best = shown(opened)[0]
    assert said == f"photo.jpg: {best[0]}, {100 * best[1]:.1f} %"


def test_a_photo_can_be_dropped_anywhere(opened: Browser, photo: Path) -> None:
    opened.value("document.querySelector('#status').textContent = ''")
    data = {"items": [], "files": [str(photo)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        opened.call("Input.dispatchDragEvent", type=kind, x=30, y=500, data=data)
    assert settled(opened).startswith("photo.jpg: ")
    assert len(shown(opened)) == 5
    assert opened.value("document.body.className") == ""
