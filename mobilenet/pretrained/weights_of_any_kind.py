"""The arrays of weights, whatever holds them: a published name, a run, a checkpoint or a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Mapping

import mxnet as mx
from mxnet.gluon import nn

from mobilenet import settings
from mobilenet.data.synset import names_of_classes
from mobilenet.errors import ConfigError
from mobilenet.foreign.foreign_network import fitting_arrays, read_network
from mobilenet.foreign.weight_file import read_source
from mobilenet.network import weights
from mobilenet.pretrained.published_weights import PublishedWeights, published_at
from mobilenet.pretrained.store import fetch
from mobilenet.runs.described_weights import DescribedWeights, described_weights
from mobilenet.settings.schema import Config, ModelConfig

Arrays = Mapping[str, mx.nd.NDArray]

_FOREIGN = (".onnx", ".safetensors", ".npz")
_OF_NETWORK = ("dialect", "width_multiplier", "depth_multiplier")


def read_weights(file: Path, network: nn.HybridBlock) -> Arrays:
    """The arrays in a file, by the package's names; of other programs' files fit for `network`.

    Raises:
        WeightsError: It cannot be read, is damaged, or is of another kind; or arrays of another
            program do not fit.
    """
    if file.suffix in _FOREIGN:
        return fitting_arrays(network, read_source(file).arrays, file)
    return weights.read_parameters(file)


def config_of(published: PublishedWeights) -> Config:
    """The configuration of a published network."""
    return settings.loads(Config, json.dumps(published.settings), published.name)


def read_alone(file: Path) -> Arrays:
    """The arrays in a file, by the package's names, for the network that they tell themselves.

    Raises:
        WeightsError: It cannot be read, is damaged, or is of another kind.
    """
    return read_network(file).arrays if file.suffix in _FOREIGN else weights.read_parameters(file)


def initial_weights(source: str, model: ModelConfig) -> DescribedWeights:
    """The file that `training.initial_weights` names, with what is known of it.

    Args:
        source: A published name, a run, a checkpoint or a file.
        model: The network that is to start from it.

    Raises:
        ConfigError: It is a name, and of another network.
        WeightsError: The file cannot be downloaded, or the folder is none with weights.
    """
    published = published_at(source)
    if published is None:
        return described_weights(Path(source))
    config = config_of(published)
    _check_same(published, config.model, model)
    return DescribedWeights(fetch(published), config, names_of_classes((), config.model.classes))


def _check_same(published: PublishedWeights, theirs: ModelConfig, ours: ModelConfig) -> None:
    other = [name for name in _OF_NETWORK if getattr(theirs, name) != getattr(ours, name)]
    if other:
        right = " ".join(f"model.{name}={getattr(theirs, name)}" for name in other)
        raise ConfigError(
            f"training.initial_weights: {published.name} is of another network; set {right}"
        )
