"""Published weights as text: a table of all, and the details of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterable, Optional

from mobilenet.pretrained.published_weights import PublishedWeights, config_of
from mobilenet.pretrained.store import path_of, stored, url_of

_COLUMNS = ("name", "network", "top-1 %", "top-5 %", "licence", "on this machine")


def table(weights: Iterable[PublishedWeights]) -> str:
    """One line for each: name, network, published accuracies, licence, and the local file."""
    rows = [_COLUMNS, *map(_row, weights)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _row(weights: PublishedWeights) -> tuple[str, ...]:
    path = stored(weights)
    accuracies = (f"{100 * accuracy:.2f}" for accuracy in (weights.top1, weights.top5))
    return weights.name, network_of(weights), *accuracies, weights.license, str(path or "-")


def network_of(weights: PublishedWeights) -> str:
    """The network in a few words."""
    model = config_of(weights).model
    depth = "" if model.depth_multiplier == 1 else f", depth {model.depth_multiplier:g}"
    return f"{model.dialect} {model.width_multiplier:g}{depth}"


def description(weights: PublishedWeights, path: Optional[Path]) -> str:
    """The details of the weights, one per line; `path` is the local file, if there is one."""
    facts = as_json(weights, path)
    return "\n".join(
        f"{name.replace('_', ' '):14}{value}" for name, value in facts.items() if value
    )


def as_json(weights: PublishedWeights, path: Optional[Path]) -> dict[str, Any]:
    """The details as plain JSON; accuracies are fractions."""
    config = config_of(weights)
    return {
        "name": weights.name,
        "network": network_of(weights),
        "resolution": config.data.resolution,
        "mean": list(config.data.mean),
        "std": list(config.data.std),
        "transform": config.validation.transform,
        "top1": weights.top1,
        "top5": weights.top5,
        "source": weights.source,
        "license": weights.license,
        "address": url_of(weights),
        "digest": weights.digest or "the SHA-256 that the server states",
        "num_bytes": weights.num_bytes,
        "file": None if path is None else str(path),
        "belongs_at": str(path_of(weights)) if path is None else None,
    }
