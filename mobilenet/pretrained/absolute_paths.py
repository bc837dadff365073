"""Makes the paths of a configuration absolute, as a run folder stores them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from mobilenet.pretrained.published_weights import published_at
from mobilenet.settings.schema import Config


def with_absolute_paths(config: Config) -> Config:
    """The configuration with absolute paths; names of published weights are unchanged."""
    data = dataclasses.replace(config.data, directory=str(Path(config.data.directory).absolute()))
    weights, teacher = config.training.initial_weights, config.distillation.teacher
    training = dataclasses.replace(config.training, initial_weights=_absolute(weights))
    distillation = dataclasses.replace(config.distillation, teacher=_absolute(teacher))
    return dataclasses.replace(config, data=data, training=training, distillation=distillation)


def _absolute(model: str | None) -> str | None:
    if model is None or published_at(model) is not None:
        return model
    return str(Path(model).absolute())
