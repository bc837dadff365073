"""Pictures of results as PNG bytes, as notebooks want them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Callable


def png(draw: Callable[[Path], object]) -> bytes:
    """What `draw` writes into the file that it is given."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "picture.png")
        draw(path)
        return path.read_bytes()
