"""What a benchmark ran on and how its figures spread, for the lines that it prints."""

from __future__ import annotations

import datetime
import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Sequence

import numpy as np

_PACKAGES = ("mxnet", "numpy", "opencv-python", "opencv-python-headless", "onnxruntime", "gluoncv")


def header() -> str:
    """One line: date, processor, cores that this process may use, and versions."""
    date = f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC"
    cores = f"{len(os.sched_getaffinity(0))} cores"
    versions = [f"Python {platform.python_version()}", *filter(None, map(_version, _PACKAGES))]
    return f"{date}; {_processor()}, {cores}; {', '.join(versions)}"


def _processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    return found[1] if found else platform.machine()


def _version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return ""


def spread(values: Sequence[float], form: str = ".1f") -> str:
    """The median with the quartiles: `10.0 (9.5 to 10.5)`."""
    low, median, high = np.percentile(values, (25, 50, 75))
    return f"{median:{form}} ({low:{form}} to {high:{form}})"
