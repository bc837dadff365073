"""Tells whether downloads are switched off."""

from __future__ import annotations

import os
from typing import Optional

OFFLINE = "MOBILENET_OFFLINE"
"""The environment variable that forbids this package to use the network."""
_VARIABLES = (OFFLINE, "HF_HUB_OFFLINE")
_YES = ("1", "ON", "YES", "TRUE")


def switched_off() -> Optional[str]:
    """The environment variable that forbids use of the network, or None."""
    return next((name for name in _VARIABLES if os.environ.get(name, "").upper() in _YES), None)
