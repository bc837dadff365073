"""Counts warnings of libjpeg and libpng on standard error, instead of showing a million of them.

The libraries write from C to file descriptor 2, so that they have to be caught there.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections import Counter
from typing import Iterator

import cv2

# The warnings of libjpeg (its `jerror.h`) and libpng, which ends its lines with a second write.
_COMPLAINT = re.compile(
    rb"((?:Corrupt JPEG data|Premature end of JPEG|Warning: unknown JFIF|Inconsistent progression|"
    rb"Invalid SOS parameters|Unknown Adobe color|libpng (?:warning|error))[^\n]*)(\n?)"
)
_NUMBER = re.compile(r"\b\d+\b")
_CHUNK_BYTES = 1 << 16
_SILENT = 0  # of OpenCV's log levels
_LOGGING = getattr(cv2.utils, "logging", cv2)  # OpenCV 5 has them in a module of their own


@contextlib.contextmanager
def counted() -> Iterator[Counter[str]]:
    """Counts the warnings of the image decoders in the block by their text.

    Texts that differ only in numbers count as equal. Everything else on standard error is passed
    on. The counts are complete when the block has ended.
    """
    complaints: Counter[str] = Counter()
    shown = os.dup(2)
    source, sink = os.pipe()
    sorter = threading.Thread(target=_sort, args=(source, shown, complaints), daemon=True)
    sorter.start()
    level = _LOGGING.setLogLevel(_SILENT)
    os.dup2(sink, 2)
    os.close(sink)
    try:
        yield complaints
    finally:
        os.dup2(shown, 2)  # closes the last writing end of the pipe, which ends the thread
        sorter.join()
        _LOGGING.setLogLevel(level)
        os.close(source)
        os.close(shown)


def _sort(source: int, shown: int, complaints: Counter[str]) -> None:
    """Counts or passes on the lines from the pipe, until its other end is closed."""
    num_open_lines = 0
    while chunk := os.read(source, _CHUNK_BYTES):
        while num_open_lines and chunk.startswith(b"\n"):
            chunk, num_open_lines = chunk[1:], num_open_lines - 1
        for text, line_end in _COMPLAINT.findall(chunk):
            complaints[_NUMBER.sub("N", text.decode(errors="replace"))] += 1
            num_open_lines += not line_end
        os.write(shown, _COMPLAINT.sub(b"", chunk))
