"""Runs `mobilenet bench` in a process of its own, so that no benchmark inherits from another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, Mapping, Union


def mobilenet_bench(
    mode: str, sizes: Mapping[str, Union[int, float]], environment: Mapping[str, str]
) -> dict[str, Any]:
    """What `mobilenet bench MODE --json` prints.

    Args:
        mode: `train` or `infer`.
        sizes: The options without their dashes: `batch`, `size`, `width`, `repeats`.
        environment: Variables that the process gets beside those of this one.

    Raises:
        subprocess.CalledProcessError: The process has failed; it has said on stderr why.
    """
    options = [text for name, number in sizes.items() for text in (f"--{name}", str(number))]
    call = [sys.executable, "-m", "mobilenet", "bench", mode, *options, "--json"]
    variables = {**os.environ, **environment}
    done = subprocess.run(call, check=True, stdout=subprocess.PIPE, env=variables)
    result: dict[str, Any] = json.loads(done.stdout)
    return result
