"""Opens a model of any form: a run, a checkpoint, a .params file or an ONNX file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Sequence

import mxnet as mx

from mobilenet import build, settings
from mobilenet.data.eval_transforms import EvalTransform
from mobilenet.data.record_folder import SYNSET
from mobilenet.data.synset import nearest_synset, read_lines
from mobilenet.errors import ConfigError, DataError, WeightsError
from mobilenet.metrics import Predict
from mobilenet.network import weights
from mobilenet.network.architecture import MobileNetV2
from mobilenet.onnx.mxnet_importer import ImportedModel
from mobilenet.onnx.runtime import OnnxModel
from mobilenet.onnx.untrusted_file import check_untrusted
from mobilenet.runs.described_weights import best_weights, weights_file
from mobilenet.runs.run_folder import CONFIG
from mobilenet.settings.schema import Config

Engine = Literal["onnxruntime", "mxnet"]


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to predict, with the preprocessing that it expects."""

    path: Path
    config: Config
    """Of an ONNX file: the defaults, replaced by what the file itself says."""
    class_names: tuple[str, ...]
    """The lines of the synset, one per class in label order; empty if unknown."""
    predict: Predict
    """From normalised images `(N, 3, H, W)` to logits `(N, classes)`."""
    network: MobileNetV2 | None
    """The Gluon network; None for an ONNX file."""
    calibrated_on: str | None = None
    """The images that an int8 model was calibrated on; None in floating point."""
    is_described: bool = True
    """Whether dialect and width are known; if not, `config` has the defaults."""
    engine: Engine | None = None
    """What runs an ONNX file; None for other models."""
    crop: tuple[int, int] | None = None
    """Height and width of its input in pixels, if they are fixed and not the same."""

    @property
    def title(self) -> str:
        """The name of the model in summaries and reports."""
        int8 = "" if self.calibrated_on is None else " (int8)"
        return f"{self.path}{int8}{' (by MXNet)' if self.engine == 'mxnet' else ''}"

    @property
    def transform(self) -> EvalTransform:
        """The validation preprocessing."""
        return dataclasses.replace(build.eval_transform(self.config), crop=self.crop)


def open_model(
    path: Path,
    config_path: Path | None = None,
    overrides: Sequence[str] = (),
    engine: Engine | None = None,
) -> LoadedModel:
    """Opens a model for inference.

    Args:
        path: A run folder (its best checkpoint), a checkpoint, a `.params` or an `.onnx` file.
        config_path: YAML configuration of a `.params` file, or of an ONNX file that does not say
            its preprocessing.
        overrides: Settings `key.sub=value` that replace those of the configuration.
        engine: What runs an ONNX file, by default ONNX Runtime.

    Raises:
        WeightsError: There is no model at `path`, it is damaged, or it does not fit its network.
        ConfigError: A `.params` file has no configuration, a model that has its own was given
            another, or a setting is wrong.
        DataError: The number of class names is not the number of classes.
    """
    if not path.exists():
        raise WeightsError(f"{path}: no such file or folder")
    if path.suffix == ".onnx" and not path.is_dir():
        return _open_onnx(path, config_path, overrides, engine or "onnxruntime")
    if engine is not None:
        raise ConfigError(f"{path}: is no .onnx file, so --engine would have no effect")
    if path.is_dir():
        return _open_run(path, config_path, overrides)
    if config_path is None:
        raise ConfigError(f"{path}: a file of parameters needs its configuration: --config YAML")
    config = settings.load(Config, config_path, overrides)
    synset = nearest_synset(path, Path(config.data.directory))
    return _with_network(path, path, config, synset)


def takes_config(path: Path) -> bool:
    """Whether the model at `path` has no configuration of its own.

    Raises:
        WeightsError: It is an ONNX file that cannot be read.
    """
    if path.suffix == ".onnx":
        check_untrusted(path)
        return not OnnxModel(path).metadata.knows_preprocessing
    return not path.is_dir()


def _open_run(path: Path, config_path: Path | None, overrides: Sequence[str]) -> LoadedModel:
    """Opens a run folder by its best checkpoint, or one of its checkpoints."""
    if config_path is not None:
        raise ConfigError(f"{path}: a run has its own configuration; --config would be ignored")
    folders = (path, *path.absolute().parents)[:3]
    run = next((folder for folder in folders if (folder / CONFIG).is_file()), None)
    if run is None:
        raise WeightsError(f"{path}: neither a run folder nor a checkpoint: no {CONFIG}")
    parameters = best_weights(run) if run == path else weights_file(path)
    config = settings.load(Config, run / CONFIG, overrides)
    return _with_network(path, parameters, config, run / SYNSET)


def _with_network(path: Path, parameters: Path, config: Config, synset: Path) -> LoadedModel:
    network = build.network(config)
    network.initialize(ctx=mx.cpu())
    weights.fit(network, weights.read_parameters(parameters), parameters)
    class_names = _fitting(read_lines(synset) if synset.is_file() else (), config, synset)
    predict = build.predictor(network, build.contexts(config))
    return LoadedModel(path, config, class_names, predict, network)


def _fitting(class_names: tuple[str, ...], config: Config, where: Path) -> tuple[str, ...]:
    """The class names from `where`: none, or one for each class."""
    if class_names and len(class_names) != config.model.classes:
        raise DataError(
            f"{where}: has names of {len(class_names)} classes, but the model has"
            f" {config.model.classes} classes; give one name for each class"
        )
    return class_names


def _open_onnx(
    path: Path, config_path: Path | None, overrides: Sequence[str], engine: Engine
) -> LoadedModel:
    """Opens an ONNX file; its own metadata take precedence over the defaults."""
    check_untrusted(path)
    model = ImportedModel(path) if engine == "mxnet" else OnnxModel(path)
    if config_path is not None:
        if model.metadata.knows_preprocessing:
            raise ConfigError(
                f"{path}: has its own preprocessing, which --config would replace; leave it out,"
                " or replace single settings by key.sub=value"
            )
        config = settings.load(Config, config_path, overrides)
    else:
        config = settings.loads(Config, model.settings(), str(path), overrides)
    if config.model.classes != model.num_classes:
        raise WeightsError(
            f"{path}: has {model.num_classes} classes, but model.classes is {config.model.classes}"
        )
    facts = model.metadata
    said = {text.partition("=")[0] for text in overrides}
    is_described = config_path is not None or all(
        getattr(facts, name) is not None or f"model.{name}" in said
        for name in ("dialect", "width_multiplier")
    )
    height, width = model.resolution or (None, None)
    crop = None if height is None or width is None or height == width else (height, width)
    return LoadedModel(
        path=path,
        config=config,
        class_names=_fitting(model.class_names, config, path),
        predict=model.logits,
        network=None,
        calibrated_on=facts.calibrated_on,
        is_described=is_described,
        engine=engine,
        crop=crop,
    )
