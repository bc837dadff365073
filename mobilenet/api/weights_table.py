"""`mobilenet.weights`: the names of published weights."""

from __future__ import annotations

from mobilenet.pretrained.listing import table
from mobilenet.pretrained.published_weights import PUBLISHED_WEIGHTS, PublishedWeights


class WeightsTable(tuple[PublishedWeights, ...]):
    """Published weights, shown as a table of names, accuracies and local files."""

    def __repr__(self) -> str:
        return table(self)


def weights() -> WeightsTable:
    """The published weights that `load` and `training.initial_weights` accept by name."""
    return WeightsTable(PUBLISHED_WEIGHTS)
