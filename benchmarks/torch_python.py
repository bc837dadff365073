"""The option `--torch` of benchmarks: an interpreter that has PyTorch."""

from __future__ import annotations

import argparse
import subprocess

HELP = "interpreter that has torch, numpy and cv2"
_MISSING = (
    "import importlib.util as u;"
    "print(*(n for n in ('torch', 'numpy', 'cv2') if u.find_spec(n) is None), sep=', ')"
)


def torch_python(text: str) -> str:
    """The interpreter, if it has all that PyTorch's side of a benchmark imports."""
    try:
        done = subprocess.run([text, "-c", _MISSING], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise argparse.ArgumentTypeError(f"{text} is no Python that runs: {error}") from error
    missing = done.stdout.strip()
    if missing:
        raise argparse.ArgumentTypeError(f"{text} lacks {missing}")
    return text
