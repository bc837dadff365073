"""Files in the place of published weights, on the host of a test, by their names."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from weight_server import Answer, WeightServer, zipped

from mobilenet.pretrained import published_weights


def publish(
    name: str, content: bytes, server: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Puts `content` where the weights of this name are, with its digest."""
    weights = published_weights.find(name)
    assert weights is not None
    headers = {}
    if weights.digest is None:  # the server states it
        headers["ETag"] = f'"{hashlib.sha256(content).hexdigest()}"'
    else:
        algorithm = weights.digest.partition(":")[0]
        digest = f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
        replaced = replace(weights, digest=digest)
        monkeypatch.setitem(published_weights._BY_NAME, name, replaced)
    is_archive = weights.address.endswith(".zip")
    sent = zipped(weights.file, content) if is_archive else content
    server.answers[f"/{weights.address}"] = Answer(sent, headers=headers)


def publish_file(
    name: str, path: Path, server: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same with the content of a file."""
    publish(name, path.read_bytes(), server, monkeypatch)
