"""Reads weights from a published name, a run, a checkpoint or a file of any program."""

from __future__ import annotations

from pathlib import Path
from typing import Mapping

import mxnet as mx
from mxnet.gluon import nn

from mobilenet.data.synset import names_of_classes
from mobilenet.errors import ConfigError
from mobilenet.foreign.foreign_network import fitting_arrays, read_network
from mobilenet.foreign.weight_file import read_source
from mobilenet.network import weights
from mobilenet.pretrained.published_weights import PublishedWeights, config_of, published_at
from mobilenet.pretrained.store import fetch
from mobilenet.runs.described_weights import DescribedWeights, described_weights
from mobilenet.settings.schema import ModelConfig

Arrays = Mapping[str, mx.nd.NDArray]

_FOREIGN = (".onnx", ".safetensors", ".npz")
_OF_NETWORK = ("dialect", "width_multiplier", "depth_multiplier")


def read_weights(file: Path, network: nn.HybridBlock) -> Arrays:
    """The arrays in a file, by the package's names.

    Args:
        file: A `.params` file, or a file of another program as for `import_weights`.
        network: The network that arrays of other programs are converted for and have to fit.

    Raises:
        WeightsError: The file cannot be read, is damaged or of another type, or arrays of another
            program do not fit.
    """
    if file.suffix in _FOREIGN:
        return fitting_arrays(network, read_source(file).arrays, file)
    return weights.read_parameters(file)


def read_alone(file: Path) -> Arrays:
    """The arrays in a file, by the package's names, for the network that is detected from them.

    Raises:
        WeightsError: The file cannot be read, is damaged or of another type.
    """
    return read_network(file).arrays if file.suffix in _FOREIGN else weights.read_parameters(file)


def initial_weights(source: str, model: ModelConfig) -> DescribedWeights:
    """The file that `training.initial_weights` names, with its configuration and class names.

    Args:
        source: A published name, a run, a checkpoint or a file.
        model: The network that starts from these weights.

    Raises:
        ConfigError: The published weights are of another network.
        WeightsError: The file cannot be downloaded, or the folder has no weights.
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
