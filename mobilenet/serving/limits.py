"""What the server allows a request, and all requests together."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The limits of a server, beyond which it refuses a request: so its memory stays bounded."""

    max_batch: int = 16
    """Images that the network computes at once, at most."""
    max_requests: int = 128
    """Requests that are received, wait or are computed at the same time."""
    max_body_bytes: int = 16_000_000
    """Bytes of a request's body."""
    wait_seconds: float = 5.0
    """Seconds until a request has its answer, from when its body is there."""
    body_seconds: float = 30.0
    """Seconds in which the body of a request has to arrive."""
