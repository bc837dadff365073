"""`mobilenet.weights`: the names of published weights."""

from __future__ import annotations

from mobilenet.pretrained.listing import table
from mobilenet.pretrained.published_weights import PUBLISHED_WEIGHTS, PublishedWeights


class WeightsTable(tuple[PublishedWeights, ...]):
    """Published weights; shown as a table of their names, accuracies and what is stored."""

    def __repr__(self) -> str:
        return table(self)


def weights() -> WeightsTable:
    """The published weights that `load` and `training.initial_weights` know by name."""
    return WeightsTable(PUBLISHED_WEIGHTS)
