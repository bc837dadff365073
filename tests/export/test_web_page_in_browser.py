"""The web page of a model as Chromium runs it: its answers, mistakes, and what it may load."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from browser import Browser, serving_folder
from PIL import Image
from small_network import CONFIG, small_network
from tried_page import (
    largest_difference,
    open_page,
    predicted,
    shown,
    shown_crop,
    try_photo,
)

from mobilenet.export.to_onnx import export
from mobilenet.export.web_page import write_page
from mobilenet.export.web_runtime import MODULE, NAMES, WASM, Runtime
from mobilenet.inference.open_model import open_model

ROOT = Path(__file__).parent.parent.parent
TF = ROOT / "configs" / "imagenet" / "mobilenetv2_1.0-tf.yaml"
HOSTILE = (
    "<img src=x onerror=\"document.title='run'\">",
    "</li></ol><script>document.title='run'</script>",
    *("{{files}} ${document.title='run'}", "'\"&amp;&lt;", "\u202egnp.exe", "日本 語", "a" * 200),
    *(" ", "\\", "c"),
)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo of smooth colours that is no square."""
    path = tmp_path / "photo.jpg"
    coarse = np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8)
    cv2.imwrite(str(path), cv2.resize(coarse, (320, 200), interpolation=cv2.INTER_CUBIC))
    return path


def assert_same(found: list[tuple[str, float]], expected: list[tuple[str, float]]) -> None:
    assert [name for name, _ in found][:1] == [name for name, _ in expected][:1]
    assert len(found) == len(expected) == 5
    assert largest_difference(found, expected) <= 0.01


@pytest.mark.shared_data
def test_50_photos_of_real_weights_get_the_answers_of_predict(
    tmp_path: Path, browser: Browser, runtime: Runtime, shared: Path
) -> None:
    weights = shared / "weights" / "mobilenetv2_1.0-imagenet.params"
    model = export(open_model(weights, TF), tmp_path / "net.onnx").path
    photos = sorted((shared / "data" / "imagenet-sample" / "images").rglob("*.JPEG"))[::6]
    assert len(photos) == 50
    write_page(model, tmp_path / "page", runtime)
    with serving_folder(tmp_path / "page") as server:
        open_page(browser, server.url)
        for path, expected in zip(photos, predicted(model, photos)):
            try_photo(browser, path)
            assert_same(shown(browser), expected)
    assert browser.complaints() == []


FORMS: dict[str, dict[str, Any]] = {
    "logits": {},
    "probabilities": {"softmax": True},
    "pixels as uint8": {"pixels": "uint8"},
    "pixels as float": {"pixels": "float", "softmax": True},
    "batches of 3": {"batch": 3},
    "any size": {"resolution": None},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gets_the_answers_of_predict(
    tmp_path: Path, browser: Browser, runtime: Runtime, photo: Path, form: str
) -> None:
    model = small_network(tmp_path / "net.onnx", **FORMS[form])
    write_page(model, tmp_path / "page", runtime)
    with serving_folder(tmp_path / "page") as server:
        open_page(browser, server.url)
        try_photo(browser, photo)
        assert_same(shown(browser), predicted(model, [photo])[0])
    assert browser.complaints() == []


def with_orientation(photo: Path, orientation: int) -> Path:
    """The same photo, which says that viewers are to turn it; its pixels are the same."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    payload = exif.tobytes()
    segment = b"\xff\xe1" + (len(payload) + 2).to_bytes(2, "big") + payload
    turned = photo.with_name(f"turned-{orientation}.jpg")
    content = photo.read_bytes()
    turned.write_bytes(content[:2] + segment + content[2:])
    return turned


@pytest.mark.parametrize("wish", ["apply", "ignore"])
def test_photos_are_turned_as_the_model_wants_it(
    tmp_path: Path, browser: Browser, runtime: Runtime, photo: Path, wish: str
) -> None:
    text = CONFIG.replace("data: {", f"data: {{exif_orientation: {wish}, ")
    model = small_network(tmp_path / "net.onnx", text)
    transform = open_model(model).transform
    write_page(model, tmp_path / "page", runtime)
    with serving_folder(tmp_path / "page") as server:
        open_page(browser, server.url)
        for orientation in range(1, 9):
            turned = with_orientation(photo, orientation)
            expected = transform.planes(turned.read_bytes()).transpose(1, 2, 0)
            is_moved = not np.array_equal(
                expected, transform.planes(photo.read_bytes()).transpose(1, 2, 0)
            )
            assert is_moved == (wish == "apply" and orientation != 1)
            try_photo(browser, turned)
            difference = np.abs(shown_crop(browser).astype(int) - expected.astype(int))
            assert difference.max() <= 3, orientation  # decoders differ by a level or two


def test_names_are_text_whatever_they_hold(
    tmp_path: Path, browser: Browser, runtime: Runtime, photo: Path
) -> None:
    model = small_network(tmp_path / "<b>net.onnx", names=HOSTILE)
    write_page(model, tmp_path / "page", runtime)
    evil = tmp_path / "<img src=x onerror=alert(1)>.jpg"
    shutil.copy(photo, evil)
    with serving_folder(tmp_path / "page") as server:
        open_page(browser, server.url)
        said = try_photo(browser, evil)
        assert said.startswith("<img src=x onerror=alert(1)>.jpg: ")
        assert {name for name, _ in shown(browser)} <= set(HOSTILE)
        assert browser.value("document.querySelectorAll('main img, main script, b').length") == 0
        assert browser.value("document.title") == "MobileNet v2 of width 0.1"
        assert browser.value("document.querySelector('#card a').download") == "<b>net.onnx"
        assert set(server.asked) == {path for path in server.asked if "onerror" not in path}
    assert browser.complaints() == []


def test_what_is_no_photo_is_told_in_a_sentence_and_the_next_photo_works(
    tmp_path: Path, browser: Browser, small_page: Path, photo: Path
) -> None:
    text, cut, huge, large = (tmp_path / name for name in ("a.jpg", "cut.jpg", "b.png", "c.jpg"))
    text.write_text("no image")
    cut.write_bytes(photo.read_bytes()[:300])
    # What a photo of 20,000 x 10,000 pixels begins with: it is refused before it is decoded.
    header = (
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (20000).to_bytes(4, "big") + (10000).to_bytes(4, "big")
    )
    huge.write_bytes(header + b"\x08\x02\0\0\0")
    with large.open("wb") as file:
        file.truncate(129_000_000)
    unreadable = "is no image that this browser can read, or is damaged."
    expected = {
        text: f"a.jpg {unreadable}",
        cut: f"cut.jpg {unreadable}",
        huge: "b.png has 200 megapixels; at most 100 are taken.",
        large: "c.jpg has 129 MB; at most 128 MB are taken.",
    }
    with serving_folder(small_page) as server:
        open_page(browser, server.url)
        for path, sentence in expected.items():
            assert try_photo(browser, path) == sentence
            assert shown(browser) == []
        assert try_photo(browser, photo).startswith("photo.jpg: ")
        assert len(shown(browser)) == 5
    assert browser.complaints() == []


def test_a_large_photo_is_read_in_strips(
    tmp_path: Path, browser: Browser, small_page: Path
) -> None:
    path = tmp_path / "large.jpg"
    coarse = np.random.default_rng(2).integers(0, 256, (9, 12, 3), np.uint8)
    cv2.imwrite(str(path), cv2.resize(coarse, (6000, 4000), interpolation=cv2.INTER_CUBIC))
    with serving_folder(small_page) as server:
        open_page(browser, server.url)
        try_photo(browser, path)
        assert_same(shown(browser), predicted(small_page / "model.onnx", [path])[0])


def test_it_opens_and_answers_without_a_network(
    browser: Browser, small_page: Path, photo: Path
) -> None:
    with serving_folder(small_page) as server:
        open_page(browser, server.url)
        browser.wait_for("document.querySelector('#offline').textContent")
        try_photo(browser, photo)
        online = shown(browser)
        url = server.url
    for address in (url, f"{url}/index.html"):
        browser.open("about:blank")
        browser.open(f"{address}/" if address == url else address)
        browser.wait_for("document.querySelector('#status')?.textContent.startsWith('Ready')")
        try_photo(browser, photo)
        assert shown(browser) == online


def test_a_page_that_was_exported_again_is_shown_at_the_second_visit(
    tmp_path: Path, browser: Browser, runtime: Runtime
) -> None:
    write_page(small_network(tmp_path / "one.onnx"), tmp_path / "page", runtime)
    with serving_folder(tmp_path / "page") as server:
        open_page(browser, server.url)
        browser.wait_for("document.querySelector('#offline').textContent")
        (kept,) = browser.value("caches.keys()")
        write_page(small_network(tmp_path / "two.onnx"), tmp_path / "page", runtime)
        for path in (tmp_path / "page").iterdir():  # HTTP tells changes by whole seconds
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime + 5))
        open_page(browser, server.url)
        others = f"names.length === 1 && names[0] !== {json.dumps(kept)}"
        browser.wait_for(f"caches.keys().then(names => {others})")
        open_page(browser, server.url)
        assert browser.value("document.querySelector('#card a').download") == "two.onnx"
    assert browser.complaints() == []


def test_linked_to_a_network_it_runs_what_has_the_right_digest_only(
    tmp_path: Path, browser: Browser, runtime: Runtime, photo: Path
) -> None:
    shelf, model = tmp_path / "shelf", small_network(tmp_path / "net.onnx")
    shelf.mkdir()
    for name in (MODULE, WASM):
        (shelf / name).write_bytes(runtime.content[NAMES[name]])
    with serving_folder(shelf, ("Access-Control-Allow-Origin", "*")) as host:
        write_page(model, tmp_path / "page", Runtime(host.url))
        assert not list((tmp_path / "page").glob("onnxruntime*"))
        with serving_folder(tmp_path / "page") as server:
            assert open_page(browser, server.url) == "Ready: choose a photo."
            try_photo(browser, photo)
            assert_same(shown(browser), predicted(model, [photo])[0])
        assert set(host.asked) == {f"/{MODULE}", f"/{WASM}"}
        assert browser.complaints() == []
        for name in (MODULE, WASM):
            content = (shelf / name).read_bytes()
            (shelf / name).write_bytes(content + b"\n")
            with serving_folder(tmp_path / "page") as server:
                browser.call("Network.clearBrowserCache")
                said = open_page(browser, server.url)
                assert said.startswith("The page cannot be loaded: ")
                assert try_photo(browser, photo).startswith("It did not work: ")
                assert shown(browser) == []
            (shelf / name).write_bytes(content)


def test_the_page_may_run_and_fetch_nothing_else(browser: Browser, small_page: Path) -> None:
    with serving_folder(small_page) as server, serving_folder(small_page) as other:
        open_page(browser, server.url)
        browser.value("""{
          const script = document.createElement('script');
          script.textContent = 'window.wasRun = true';
          document.body.append(script);
          document.body.insertAdjacentHTML('beforeend', '<p style="color: red" id="inline">x</p>');
        }""")
        assert browser.value("window.wasRun") is None
        assert browser.value("getComputedStyle(document.querySelector('#inline')).color") != (
            "rgb(255, 0, 0)"
        )
        fetched = f"fetch('{other.url}/model.json', {{mode: 'no-cors'}})"
        assert browser.value(f"{fetched}.then(() => 'came', () => 'refused')") == "refused"
        assert other.asked == []
