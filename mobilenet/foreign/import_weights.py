"""Imports weights of other programs as a .params file with its configuration."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Sequence

from mobilenet.data.synset import synset_of
from mobilenet.errors import UserError, one_line
from mobilenet.files import replaced, write_text
from mobilenet.foreign.foreign_network import read_network
from mobilenet.foreign.weight_file import Source
from mobilenet.network.architecture import DIALECTS
from mobilenet.network.params_file import write_arrays
from mobilenet.onnx.export_verification import Difference
from mobilenet.settings.schema import Config


@dataclass(frozen=True)
class ImportResult:
    """An imported .params file and its configuration.

    Attributes:
        source: The file that was imported.
        parameters: The `.params` file.
        config_path: The YAML file beside it.
        family: Which program wrote the source, such as torchvision.
        config: The content of the YAML file.
        notes: What was assumed or changed.
        difference: Between the outputs of the network and of the source; None if the source has
            only weights.
    """

    source: Path
    parameters: Path
    config_path: Path
    family: str
    config: Config
    notes: tuple[str, ...]
    difference: Optional[Difference]

    def summary(self) -> str:
        """What was found and what was written, in a few lines."""
        model, data = self.config.model, self.config.data
        activation = model.activation or DIALECTS[model.dialect].activation
        depth = "" if model.depth_multiplier == 1 else f", depth {model.depth_multiplier:g}"
        lines = [
            f"{self.source}: MobileNet v2 of width {model.width_multiplier:g}{depth} in the dialect"
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
        """The result as plain JSON."""
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
    """Imports the weights in the file at `path` as `output`.params and `output`.yaml.

    Either both files are written or neither. Class names in the source are written as
    `output`-synset.txt. Nothing is unpickled.

    Args:
        path: `.params` of Gluon, gluoncv or this package, `.safetensors` or `.npz` with the names
            of torchvision, timm, Keras or slim, or an `.onnx` file of any program.
        output: The files to write, without a suffix or with `.params`.

    Raises:
        WeightsError: The file is damaged or of another type, its arrays are not those of a
            MobileNet v2 or are not finite, or its graph computes something else.
        UserError: `output` names no file, or the source itself.
    """
    parameters, config_path = _targets(path, output)
    found = read_network(path)
    source, config = found.source, found.config
    with replaced(parameters) as temporary, replaced(config_path) as temporary_config:
        with temporary.open("wb") as file:
            write_arrays(file, found.arrays)
        temporary_config.write_text(_commented(found.text, source, path), encoding="utf-8")
    names = source.facts.class_names
    _write_names(synset_of(parameters), names if len(names) == config.model.classes else ())
    return ImportResult(
        path, parameters, config_path, source.family, config, source.notes, found.difference
    )


def _write_names(path: Path, names: Sequence[str]) -> None:
    if names:
        write_text(path, "".join(f"{one_line(name)}\n" for name in names))
    else:
        path.unlink(missing_ok=True)  # that of weights imported before


def _targets(path: Path, output: Path) -> tuple[Path, Path]:
    name = output.name.removesuffix(".params")
    if name in ("", ".."):
        raise UserError(f"--output {output} names no file; the name of one, such as net, would do")
    targets = output.with_name(f"{name}.params"), output.with_name(f"{name}.yaml")
    if path.resolve() in (target.resolve() for target in targets):
        raise UserError(f"--output {output} would replace {path} itself; choose another name")
    return targets


def _commented(text: str, source: Source, path: Path) -> str:
    """The configuration, after comments that tell the origin of the weights."""
    lines = (f"Weights of {path.name}, in the layout of {source.family}.", *source.notes)
    return "".join(f"# {one_line(line)}\n" for line in lines) + text
