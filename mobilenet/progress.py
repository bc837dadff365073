"""Progress of long work: a bar on a terminal, a line every half minute elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Callable, Generator, Iterable, Iterator, TypeVar

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 30.0

_T = TypeVar("_T")


def say(line: str) -> None:
    """Writes a line on standard error, above the bar if there is one."""
    tqdm.write(line, file=sys.stderr)


def _one(_: object) -> int:
    return 1


def watched(
    items: Iterable[_T], title: str, total: int, num_images: Callable[[_T], int] = _one
) -> Generator[_T, None, None]:
    """The items; shows how many of `total` images are done, how fast, and the time left.

    Each item counts as `num_images(item)` images.
    """
    if sys.stderr.isatty():
        with tqdm(total=total, desc=title, unit=" images", smoothing=0.02) as bar:
            for item in items:
                yield item
                bar.update(num_images(item))
    else:
        yield from _with_lines(items, title, total, num_images)


def _with_lines(
    items: Iterable[_T], title: str, total: int, num_images: Callable[[_T], int]
) -> Iterator[_T]:
    start = shown = time.monotonic()
    number = 0
    for item in items:
        yield item
        number += num_images(item)
        now = time.monotonic()
        if now - shown >= _SECONDS_BETWEEN_LINES:
            shown, rate = now, number / (now - start)
            left = tqdm.format_interval((total - number) / rate)
            say(f"{title}: {number:,} of {total:,} images, {rate:,.0f} images/s, {left} left")
