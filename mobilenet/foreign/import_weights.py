"""Takes over weights of other programs as a file of parameters with its configuration."""

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
from mobilenet.data.synset import synset_of
from mobilenet.errors import UserError, WeightsError, one_line
from mobilenet.files import replaced, write_text
from mobilenet.foreign.architecture_detection import detect
from mobilenet.foreign.stored_arrays import Stored
from mobilenet.foreign.weight_file import Reference, Source, read_source
from mobilenet.network import weights
from mobilenet.network.architecture import DIALECTS, MobileNetV2
from mobilenet.network.params_file import write_arrays
from mobilenet.onnx.graph import GraphOptions
from mobilenet.onnx.metadata import settings_of
from mobilenet.onnx.proof import Difference, compare
from mobilenet.settings.schema import Config

_DAMAGES = (EOFError, TypeError, ValueError, zipfile.BadZipFile, zlib.error, OSError)


@dataclass(frozen=True)
class ImportResult:
    """A file of parameters and its configuration."""

    source: Path
    parameters: Path
    config_path: Path
    family: str
    config: Config
    notes: tuple[str, ...]
    difference: Optional[Difference]
    """From the outputs of the source; None if it has only weights."""

    def summary(self) -> str:
        """What was found and what was made, in a few lines."""
        model, data = self.config.model, self.config.data
        activation = model.activation or DIALECTS[model.dialect].activation
        lines = [
            f"{self.source}: MobileNet v2 of width {model.width_multiplier:g} in the dialect"
            f" '{model.dialect}', {model.classes} classes, {activation}, in the layout of"
            f" {self.family}",
            f"Input: {data.resolution} px, mean {list(data.mean)}, std {list(data.std)}",
            *(f"Note: {note}" for note in self.notes),
        ]
        if self.difference is not None:
            images, same, _, relative, _ = self.difference
            lines.append(
                f"Proof: on {images} images logits are within {relative:.1e} of the file's own,"
                f" {same} with the same best class"
            )
        return "\n".join([*lines, f"Made: {self.parameters} and {self.config_path}"])

    def as_json(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "source": str(self.source),
            "parameters": str(self.parameters),
            "config": str(self.config_path),
            "family": self.family,
            "model": dataclasses.asdict(self.config.model),
            "notes": list(self.notes),
            "difference": self.difference and self.difference._asdict(),
        }


def import_weights(path: Path, output: Path) -> ImportResult:
    """Makes `output`.params and `output`.yaml of the weights in the file at `path`, or neither.

    Class names that the file knows are written beside them, as `output`-synset.txt.

    Raises:
        WeightsError: The file is damaged or of another kind, its arrays are not those of a
            MobileNet v2 or not finite, or its graph computes something else.
        UserError: `output` names no file, or the source itself.
    """
    parameters, config_path = _targets(path, output)
    source = read_source(path)
    text = _settings(source)
    config = settings.loads(Config, text, str(path))
    network = build.network(config)
    network.collect_params().setattr("grad_req", "null")
    network.initialize()
    arrays = _fitting_arrays(network, source.arrays, path)
    weights.fit(network, arrays, path)
    reference = source.reference
    difference = None if reference is None else _compared(reference, network, config, path)
    with replaced(parameters) as temporary, replaced(config_path) as temporary_config:
        with temporary.open("wb") as file:
            write_arrays(file, arrays)
        temporary_config.write_text(_commented(text, source, path), encoding="utf-8")
    names = source.facts.class_names
    _write_names(synset_of(parameters), names if len(names) == config.model.classes else ())
    return ImportResult(
        path, parameters, config_path, source.family, config, source.notes, difference
    )


def _write_names(path: Path, names: Sequence[str]) -> None:
    if names:
        write_text(path, "".join(f"{one_line(name)}\n" for name in names))
    else:
        path.unlink(missing_ok=True)  # of weights that were there before


def _targets(path: Path, output: Path) -> tuple[Path, Path]:
    name = output.name.removesuffix(".params")
    if name in ("", ".."):
        raise UserError(f"--output {output} names no file; the name of one, such as net, would do")
    targets = output.with_name(f"{name}.params"), output.with_name(f"{name}.yaml")
    if path.resolve() in (target.resolve() for target in targets):
        raise UserError(f"--output {output} would replace {path} itself; choose another name")
    return targets


def _settings(source: Source) -> str:
    """The settings of a configuration that describe the network and its input, as YAML."""
    shapes = {name: array.shape for name, array in source.arrays.items()}
    network = detect(shapes, source.facts.width_multiplier)
    facts = dataclasses.replace(
        source.facts, dialect=network.dialect, width_multiplier=network.width_multiplier
    )
    if facts.activation == DIALECTS[network.dialect].activation:
        facts = dataclasses.replace(facts, activation=None)
    described = json.loads(settings_of(facts, network.classes))
    described = {section: values for section, values in described.items() if values}
    return str(yaml.safe_dump(described, sort_keys=False, default_flow_style=None))


def _fitting_arrays(
    network: MobileNetV2, arrays: Mapping[str, Stored], path: Path
) -> dict[str, mx.nd.NDArray]:
    """The arrays in memory, in the order of the network's parameters."""
    shapes = {name: p.shape for name, p in network.collect_params().items()}
    name = "classifier_weight"
    if name in arrays:
        ends = (*shapes[name][2:],), (*arrays[name].shape[2:],)
        if set(ends) == {(), (1, 1)}:  # a dense layer is a convolution of 1 x 1
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
    """How far the network's outputs are from the file's.

    Raises:
        WeightsError: They are not the same, up to rounding.
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


def _commented(text: str, source: Source, path: Path) -> str:
    """The settings with the origin of the weights above them."""
    lines = (f"Weights of {path.name}, in the layout of {source.family}.", *source.notes)
    return "".join(f"# {one_line(line)}\n" for line in lines) + text
