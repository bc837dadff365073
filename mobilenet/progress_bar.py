"""Shows the progress of long work: a bar on a terminal, elsewhere a line every half minute."""

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
    items: Iterable[_T],
    title: str,
    total: int | None,
    size: Callable[[_T], int] = _one,
    unit: str = "images",
) -> Generator[_T, None, None]:
    """The items; shows how many of `total` images are done, how fast, and the time left.

    Each item counts as `size(item)` images, or as so many of another unit; `total` may be unknown.
    """
    if sys.stderr.isatty():
        is_scaled = unit == "bytes"
        with tqdm(
            total=total, desc=title, unit=f" {unit}", unit_scale=is_scaled, smoothing=0.02
        ) as bar:
            for item in items:
                yield item
                bar.update(size(item))
    else:
        yield from _with_lines(items, title, total, size, unit)


def _with_lines(
    items: Iterable[_T], title: str, total: int | None, size: Callable[[_T], int], unit: str
) -> Iterator[_T]:
    start = shown = time.monotonic()
    number = 0
    for item in items:
        yield item
        number += size(item)
        now = time.monotonic()
        if now - shown >= _SECONDS_BETWEEN_LINES:
            shown, rate = now, number / (now - start)
            done = f"{title}: {number:,}"
            if total is not None:
                left = tqdm.format_interval((total - number) / rate)
                say(f"{done} of {total:,} {unit}, {rate:,.0f} {unit}/s, {left} left")
            else:
                say(f"{done} {unit}, {rate:,.0f} {unit}/s")
