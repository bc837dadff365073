"""Builds the network in a file of another program: its configuration and its arrays."""

from __future__ import annotations

import dataclasses
import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence

import mxnet as mx
import numpy as np
import yaml

from mobilenet import build, settings
from mobilenet.errors import WeightsError
from mobilenet.foreign.architecture_detection import detect
from mobilenet.foreign.stored_arrays import Stored
from mobilenet.foreign.weight_file import Reference, Source, read_source
from mobilenet.network import weights
from mobilenet.network.architecture import DIALECTS, MobileNetV2
from mobilenet.onnx.export_verification import Difference, compare
from mobilenet.onnx.graph import GraphOptions
from mobilenet.onnx.metadata import settings_of
from mobilenet.settings.schema import Config

_DAMAGES = (EOFError, TypeError, ValueError, zipfile.BadZipFile, zlib.error, OSError)


@dataclass(frozen=True)
class ForeignNetwork:
    """The network in a file of another program, as a network of this package."""

    source: Source
    text: str
    """The configuration that the file implies, as YAML."""
    config: Config
    """The same, with the overrides."""
    network: MobileNetV2
    arrays: Mapping[str, mx.nd.NDArray]
    """The parameters of `network`, by the package's names."""
    difference: Optional[Difference]
    """Between the network's outputs and the file's; None if the file has only weights."""


def read_network(path: Path, overrides: Sequence[str] = ()) -> ForeignNetwork:
    """The network in the file at `path`: .params of Gluon, .safetensors, .npz or .onnx.

    Args:
        path: The file.
        overrides: Settings, `key.sub=value`, that replace detected ones.

    Raises:
        WeightsError: The file is damaged or of another type, its arrays are not those of a
            MobileNet v2 or are not finite, or its graph computes something else.
        ConfigError: A setting is wrong.
    """
    source = read_source(path)
    text = _settings(source)
    config = settings.loads(Config, text, str(path), overrides)
    network = build.network(config)
    network.collect_params().setattr("grad_req", "null")
    network.initialize()
    arrays = fitting_arrays(network, source.arrays, path)
    weights.fit(network, arrays, path)
    reference = source.reference
    difference = None if reference is None else _compared(reference, network, config, path)
    return ForeignNetwork(source, text, config, network, arrays, difference)


def _settings(source: Source) -> str:
    """The configuration that describes the network and its input, as YAML."""
    shapes = {name: array.shape for name, array in source.arrays.items()}
    network = detect(shapes, source.facts.width_multiplier)
    facts = dataclasses.replace(
        source.facts,
        dialect=network.dialect,
        width_multiplier=network.width_multiplier,
        depth_multiplier=None if network.depth_multiplier == 1 else network.depth_multiplier,
    )
    if facts.activation == DIALECTS[network.dialect].activation:
        facts = dataclasses.replace(facts, activation=None)
    described = json.loads(settings_of(facts, network.classes))
    described = {section: values for section, values in described.items() if values}
    return str(yaml.safe_dump(described, sort_keys=False, default_flow_style=None))


def fitting_arrays(
    network: MobileNetV2, arrays: Mapping[str, Stored], path: Path
) -> dict[str, mx.nd.NDArray]:
    """The arrays in memory, in the order of the network's parameters."""
    shapes = {name: p.shape for name, p in network.collect_params().items()}
    name = "classifier_weight"
    if name in arrays:
        ends = (*shapes[name][2:],), (*arrays[name].shape[2:],)
        if set(ends) == {(), (1, 1)}:  # a dense layer is a 1 x 1 convolution
            arrays = {**arrays, name: arrays[name].reshaped((*arrays[name].shape[:2], *ends[0]))}
    weights.check_fit(shapes, arrays, path)
    return {name: _values(name, arrays[name], path) for name in shapes}


def _values(name: str, array: Stored, path: Path) -> mx.nd.NDArray:
    try:
        stored = array.read()
    except _DAMAGES as error:
        raise WeightsError(f"{path}: {name} is damaged or cut short") from error
    if stored.dtype.kind != "f":
        raise WeightsError(f"{path}: {name} is of {stored.dtype}; floats would be right")
    with np.errstate(over="ignore"):  # infinities are refused next
        values = stored.astype(np.float32)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        raise WeightsError(
            f"{path}: {name} has {len(bad)} values that are not finite, the first at"
            f" {bad[0].tolist()}"
        )
    return mx.nd.array(values)


def _compared(reference: Reference, network: MobileNetV2, config: Config, path: Path) -> Difference:
    """The difference between the network's outputs and the file's.

    Raises:
        WeightsError: It is larger than rounding explains.
    """
    input_: dict[str, Any] = {"pixels": reference.model.metadata.pixels or "normalised"}
    options = GraphOptions(
        resolution=reference.model.resolution or config.data.resolution,
        normalization=build.normalization(config),
        softmax=reference.gives_probabilities,
        **input_,
    )
    difference = compare(reference.model, network, options)
    if not difference.relative <= difference.tolerance:  # also if it is not a number
        raise WeightsError(
            f"{path}: computes something else than a MobileNet v2 with its weights: outputs differ"
            f" by {difference.relative:.2g} of the largest"
        )
    return difference
