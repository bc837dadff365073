"""Exports one network per width multiplier and resolution, and measures their costs."""

from __future__ import annotations

import dataclasses
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, NamedTuple, Optional, Sequence

import numpy as np

from mobilenet.errors import UserError
from mobilenet.export.to_onnx import describe_untrained, export, options_for, untrained_network
from mobilenet.inference.loaded_model import LoadedModel
from mobilenet.onnx.exporter import ExportResult, export_network
from mobilenet.onnx.graph import GraphOptions
from mobilenet.onnx.runtime import OnnxModel
from mobilenet.settings.schema import Config

_NUM_TIMED = 15
_COLUMNS = ("File", "Bytes", "Parameters", "Multiply-adds", "Latency (ms)", "Top-1 (%)")


@dataclass(frozen=True)
class Member:
    """One file of a family."""

    result: ExportResult
    width_multiplier: float
    resolution: int
    latency_seconds: float
    """Median time of ONNX Runtime for one image, with all processors of this machine."""
    top1_accuracy: Optional[float] = None
    """As a fraction; None if it was not measured at this resolution."""

    def as_json(self) -> dict[str, Any]:
        """The member as plain JSON."""
        facts = {**dataclasses.asdict(self), **self.result.as_json()}
        del facts["result"]
        return facts


def export_untrained_family(
    config: Config, sizes: Sequence[tuple[float, int]], folder: Path, options: GraphOptions
) -> Iterator[Member]:
    """Exports the configured network with random weights for each pair of width and resolution.

    Files are called `mobilenetv2_WIDTH-RESOLUTION.onnx`; each says that it is untrained. Networks
    of one width have the same weights.

    Raises:
        UserError, VerificationError: As for `export`; files that are finished stay.
    """
    for width, resolution in sorted(sizes):
        member = _resized(config, width, resolution)
        result = export_network(
            untrained_network(member),
            folder / f"mobilenetv2_{width:g}-{resolution}.onnx",
            _fitted(options, member),
            describe_untrained(member),
        )
        yield _member(result, member)


def export_family(
    models: Sequence[LoadedModel],
    resolutions: Sequence[int],
    folder: Path,
    options: GraphOptions,
    images: Optional[Path] = None,
) -> Iterator[Member]:
    """Exports each of the `models` at each of the `resolutions` into `folder`.

    Args:
        models: From `open_model`, any but ONNX files.
        resolutions: In pixels; empty for each model's own.
        folder: A file has the name of its model, and `-RESOLUTION` if `resolutions` are given.
        options: For all files, except for resolution and normalization.
        images: Compared as in `export`; by default each model's own.

    Yields:
        A member as soon as its file is finished.

    Raises:
        UserError: Two models have the same name, or one cannot be written with these options.
        VerificationError: As for `export`; files that are finished stay.
    """
    for planned in plan_family(models, resolutions, folder):
        yield export_member(planned, options, images)


class Planned(NamedTuple):
    """A member before it is exported."""

    model: LoadedModel
    resolution: int
    path: Path


def plan_family(
    models: Sequence[LoadedModel], resolutions: Sequence[int], folder: Path
) -> list[Planned]:
    """The members that `export_family` exports.

    Raises:
        UserError: Two models have the same name.
    """
    names = [_name(model.path.resolve()) for model in models]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two of the models would become {folder / name}.onnx; rename one")
    return [
        Planned(
            model,
            resolution,
            folder / (f"{name}-{resolution}.onnx" if resolutions else f"{name}.onnx"),
        )
        for model, name in zip(models, names)
        for resolution in resolutions or (model.config.data.resolution,)
    ]


def export_member(planned: Planned, options: GraphOptions, images: Optional[Path]) -> Member:
    """Exports one member of a family; see `export_family`."""
    model, resolution, path = planned
    fitted = dataclasses.replace(_fitted(options, model.config), resolution=resolution)
    config = _resized(model.config, model.config.model.width_multiplier, resolution)
    return _member(export(model, path, fitted, images), config)


def _name(path: Path) -> str:
    # The name of a run, such as width-0.5, has no suffix.
    return path.name if path.is_dir() else path.stem


def table(members: Sequence[Member]) -> str:
    """The members as a Markdown table: file, its costs and its accuracy."""
    rows = [_COLUMNS, tuple("---" for _ in _COLUMNS), *map(_row, members)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(member: Member) -> tuple[str, ...]:
    result = member.result
    return (
        result.path.name,
        f"{result.num_bytes:,}",
        f"{result.complexity.num_parameters:,}",
        f"{result.complexity.multiply_adds:,}",
        f"{1000 * member.latency_seconds:.1f}",
        "" if member.top1_accuracy is None else f"{100 * member.top1_accuracy:.2f}",
    )


def _with_width(config: Config, width: float) -> Config:
    model = dataclasses.replace(config.model, width_multiplier=width)
    return dataclasses.replace(config, model=model)


def _resized(config: Config, width: float, resolution: int) -> Config:
    return dataclasses.replace(
        _with_width(config, width),
        data=dataclasses.replace(config.data, resolution=resolution),
        # The configured short side fits only the configured resolution.
        validation=dataclasses.replace(config.validation, short_side=None),
    )


def _fitted(options: GraphOptions, config: Config) -> GraphOptions:
    own = options_for(config)
    return dataclasses.replace(options, resolution=own.resolution, normalization=own.normalization)


def _member(result: ExportResult, config: Config) -> Member:
    model, size = OnnxModel(result.path), config.data.resolution
    width, accuracy = config.model.width_multiplier, model.metadata.top1_accuracy
    return Member(result, width, size, _latency(model, size), accuracy)


def _latency(model: OnnxModel, resolution: int) -> float:
    data = np.zeros((model.batch_size or 1, 3, resolution, resolution), model.dtype)
    seconds = []
    for _ in range(_NUM_TIMED):
        start = time.perf_counter()
        model.predict(data)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds) / len(data)
