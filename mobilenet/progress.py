"""How far a long piece of work is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Generator, Iterable, Iterator, TypeVar

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 30.0

_T = TypeVar("_T")


def say(line: str) -> None:
    """Writes a line on standard error, above the bar if there is one."""
    tqdm.write(line, file=sys.stderr)


def watched(items: Iterable[_T], title: str, total: int) -> Generator[_T, None, None]:
    """The items; shows how many images of `total` have gone by, how fast, and what is left."""
    if sys.stderr.isatty():
        with tqdm(total=total, desc=title, unit=" images", smoothing=0.02) as bar:
            for item in items:
                yield item
                bar.update()
    else:
        yield from _with_lines(items, title, total)


def _with_lines(items: Iterable[_T], title: str, total: int) -> Iterator[_T]:
    start = shown = time.monotonic()
    for number, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - shown >= _SECONDS_BETWEEN_LINES:
            shown, rate = now, number / (now - start)
            left = tqdm.format_interval((total - number) / rate)
            say(f"{title}: {number:,} of {total:,} images, {rate:,.0f} images/s, {left} left")
