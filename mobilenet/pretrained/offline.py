"""Whether the network may be used."""

from __future__ import annotations

import os
from typing import Optional

OFFLINE = "MOBILENET_OFFLINE"
"""The variable that keeps this package from the network."""
_VARIABLES = (OFFLINE, "HF_HUB_OFFLINE")
_YES = ("1", "ON", "YES", "TRUE")


def switched_off() -> Optional[str]:
    """The variable of the environment that forbids to use the network, if one does."""
    return next((name for name in _VARIABLES if os.environ.get(name, "").upper() in _YES), None)
