"""Exports models to ONNX: trained ones with their metadata, and untrained ones."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Optional

import mxnet as mx

from mobilenet import build, files, settings
from mobilenet.data.eval_transforms import EvalTransform
from mobilenet.errors import UserError, WeightsError
from mobilenet.inference.loaded_model import LoadedModel
from mobilenet.network.architecture import MobileNetV2
from mobilenet.network.initialization import initialize
from mobilenet.network.untrained_statistics import calibrate
from mobilenet.onnx.example_images import example_images, random_images
from mobilenet.onnx.export_verification import BATCH_SIZES
from mobilenet.onnx.exporter import ExportResult, export_network
from mobilenet.onnx.graph import GraphOptions
from mobilenet.onnx.metadata import UNTRAINED, Metadata
from mobilenet.runs.checkpoint import best
from mobilenet.runs.checkpoint_folder import read_checkpoint
from mobilenet.runs.epoch_record import EpochRecord
from mobilenet.runs.run_folder import CONFIG
from mobilenet.settings.schema import Config

_NOTHING = Metadata()
_NUM_EXAMPLES = sum(BATCH_SIZES)
# Statistics hardly depend on the resolution, but smaller images would give too few values.
_NUM_CALIBRATION_IMAGES = 16
_CALIBRATION_RESOLUTION = 96


def export(
    model: LoadedModel,
    output: Optional[Path] = None,
    options: Optional[GraphOptions] = None,
    images: Optional[Path] = None,
    facts: Metadata = _NOTHING,
) -> ExportResult:
    """Exports a model to ONNX, with its preprocessing, class names, origin and accuracy.

    Args:
        model: From `open_model`, any but an ONNX file.
        output: By default the model's path with `.onnx`.
        options: By default `options_for(model.config)`.
        images: Record file or folder; its images are compared in addition to random ones. By
            default `own_images(model)`.
        facts: Metadata that is added to the model's own, or replaces it.

    Raises:
        WeightsError: The model is an ONNX file already.
        UserError: The model cannot be written with these options, or `output` would replace it.
        VerificationError: The file computes something else than MXNet, or onnx refuses it; an
            older file of this name is untouched.
    """
    if model.network is None:
        raise WeightsError(f"{model.path} was opened as an ONNX file, not as a network")
    options = options or options_for(model.config)
    transform = transform_for(model.transform, options)
    own = dataclasses.replace(
        _description(model.config, transform), class_names=model.class_names
    ).updated(_provenance(model, transform))
    images = images or own_images(model)
    examples = None if images is None else example_images(images, transform, _NUM_EXAMPLES)
    result = export_network(
        model.network, output or default_output(model), options, own.updated(facts), examples
    )
    return dataclasses.replace(result, images=images)


def own_images(model: LoadedModel) -> Optional[Path]:
    """The validation records in the model's data folder, if they are there."""
    path = Path(model.config.data.directory, "val.rec")
    return path if path.is_file() else None


def export_untrained(
    config: Config, output: Path, options: Optional[GraphOptions] = None
) -> ExportResult:
    """Exports the configured network with random weights, to try its size, speed and runtimes.

    The file says that it is untrained.

    Raises:
        UserError, VerificationError: As for `export`.
    """
    return export_network(
        untrained_network(config),
        output,
        options or options_for(config),
        describe_untrained(config),
    )


def describe_untrained(config: Config) -> Metadata:
    """The metadata of a file with random weights."""
    facts = _description(config, build.eval_transform(config))
    return dataclasses.replace(facts, source=UNTRAINED)


def untrained_network(config: Config) -> MobileNetV2:
    """The configured network with random weights, and running statistics of random images."""
    network = build.network(config)
    initialize(network, [mx.cpu()], config.training.seed)
    seed = config.training.seed
    images = random_images(_NUM_CALIBRATION_IMAGES, _CALIBRATION_RESOLUTION, seed)
    calibrate(network, build.normalization(config)(images))
    return network


def options_for(config: Config, **chosen: Any) -> GraphOptions:
    """The options that fit the configured network's input; `chosen` ones take precedence."""
    options = {"resolution": config.data.resolution, "normalization": build.normalization(config)}
    return GraphOptions(**{**options, **chosen})


def _provenance(model: LoadedModel, transform: EvalTransform) -> Metadata:
    """Where the weights come from and, if no setting has changed since, their accuracy."""
    path = model.file.resolve()
    if not path.is_dir():
        # Not the file's name, so that copies of the same weights give the same bytes.
        facts = Metadata(source=f"sha256:{files.sha256_of(path)}")
        published = model.published
        if published is None:
            return facts
        trained = f"published as {published.name} ({published.source})"
        return dataclasses.replace(facts, trained=trained, license=published.license)
    is_run = (path / CONFIG).is_file()
    run = path if is_run else path.parent.parent
    record = best(run)[1] if is_run else read_checkpoint(path).state.record
    config = settings.load(Config, run / CONFIG)
    facts = Metadata(
        source=path.relative_to(run.parent).as_posix(),
        trained=None if record is None else _training(config, record),
    )
    is_as_trained = config == model.config
    if record is None or not is_as_trained or transform != model.transform:
        return facts
    return dataclasses.replace(
        facts,
        top1_accuracy=record.top1,
        top5_accuracy=record.top5,
        num_validated=record.num_images,
        validated_on=record.split,
    )


def _training(config: Config, record: EpochRecord) -> str:
    training = config.training
    return (
        f"{record.epoch} of {training.epochs} epochs at {config.data.resolution} px in batches of"
        f" {training.batch_size}, from {training.initial_weights or 'random weights'}"
    )


def _description(config: Config, transform: EvalTransform) -> Metadata:
    depth = config.model.depth_multiplier
    return Metadata(
        resolution=transform.resolution,
        transform=transform.name,
        short_side=transform.short_side,
        exif_orientation=transform.exif_orientation,
        width_multiplier=config.model.width_multiplier,
        depth_multiplier=None if depth == 1 else depth,
        dialect=config.model.dialect,
        activation=config.model.activation,
    )


def transform_for(transform: EvalTransform, options: GraphOptions) -> EvalTransform:
    """The model's preprocessing, at the resolution in `options`."""
    if options.size in (None, transform.size):
        return transform
    height, width = options.size
    crop = None if height == width else (height, width)
    larger = max(height, width)
    if larger == transform.resolution:
        return dataclasses.replace(transform, crop=crop)
    return dataclasses.replace(transform, resolution=larger, short_side=0, crop=crop)


def default_output(model: LoadedModel, ending: str = ".onnx") -> Path:
    """The default path of a model's file: beside it, or here for a published name.

    Raises:
        UserError: The model itself has that name.
    """
    if model.published is not None:
        return Path(model.published.short_name + ending)
    output = beside(model.path, ending)
    if output == model.path:
        raise UserError(f"{output} would replace what it is made from; name another file: --output")
    return output


def beside(path: Path, ending: str = ".onnx") -> Path:
    """The path of a model's file beside it: its own with `ending`."""
    path = path.resolve() if path.name in ("", "..") else path  # for a run given as `.`
    return path.with_name((path.name if path.is_dir() else path.stem) + ending)
