"""Makes the paths of a configuration absolute, as a run folder stores them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from mobilenet.pretrained.published_weights import published_at
from mobilenet.settings.schema import Config


def with_absolute_paths(config: Config) -> Config:
    """The configuration with absolute paths; names of published weights are unchanged."""
    data = dataclasses.replace(config.data, directory=str(Path(config.data.directory).absolute()))
    training, weights = config.training, config.training.initial_weights
    if weights is not None and published_at(weights) is None:
        training = dataclasses.replace(training, initial_weights=str(Path(weights).absolute()))
    return dataclasses.replace(config, data=data, training=training)
