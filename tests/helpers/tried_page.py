"""What a test does on the web page of a model: open it, choose a photo, read the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from browser import Browser

from mobilenet.inference.open_model import open_model
from mobilenet.inference.predict import predict

_STATUS = "document.querySelector('#status').textContent"
_GUESSES = """[...document.querySelectorAll('#answers li')].map(
  item => [item.querySelector('.name').textContent, Number(item.dataset.probability)])"""


def open_page(browser: Browser, url: str) -> str:
    """Opens the page; gives what it says when it is loaded."""
    browser.events.clear()
    browser.open(f"{url}/")
    browser.wait_for(f"document.readyState === 'complete' && location.href === '{url}/'")
    return settled(browser)


def settled(browser: Browser) -> str:
    """What the page says once it does nothing more."""
    busy = "['', 'Loading', 'Looking', 'This page needs'].some(s => s ? t.startsWith(s) : !t)"
    text: str = browser.wait_for(f"(t => {busy} ? '' : t)({_STATUS})")
    return text


def try_photo(browser: Browser, photo: Path) -> str:
    """Chooses a photo; gives what the page says of it."""
    browser.value(f"{_STATUS} = ''")
    browser.choose("#choose", photo)
    return settled(browser)


def shown(browser: Browser) -> list[tuple[str, float]]:
    """The names and probabilities that the page shows; none while it shows no answer."""
    found: list[Any] = browser.value(f"document.querySelector('#result').hidden ? [] : {_GUESSES}")
    return [(name, probability) for name, probability in found]


def shown_crop(browser: Browser) -> Any:
    """The pixels that the page shows as what the network sees, (H, W, 3)."""
    width, height, values = browser.value("""(canvas => [canvas.width, canvas.height,
      [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]])(
      document.querySelector('#crop'))""")
    return np.array(values, np.uint8).reshape(height, width, 4)[..., :3]


def predicted(model: Path, photos: list[Path]) -> list[list[tuple[str, float]]]:
    """What `mobilenet predict` says of the photos."""
    answers = predict(open_model(model), list(map(str, photos)))
    return [[(guess.name, guess.probability) for guess in answer.guesses] for answer in answers]


def largest_difference(one: list[tuple[str, float]], other: list[tuple[str, float]]) -> float:
    """The largest difference between probabilities of classes that are in both answers."""
    ones, others = dict(one), dict(other)
    return max(abs(ones[name] - others[name]) for name in ones.keys() & others.keys())
