"""Opens a model by a published name, a run, a checkpoint or a file of weights."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import NamedTuple, Sequence

import mxnet as mx

from mobilenet import build, settings
from mobilenet.data.record_folder import SYNSET
from mobilenet.data.synset import names_of_classes, nearest_synset, read_lines
from mobilenet.errors import ConfigError, DataError, WeightsError
from mobilenet.foreign.foreign_network import read_network
from mobilenet.inference.engines import Engine
from mobilenet.inference.loaded_model import LoadedModel
from mobilenet.inference.other_engines import network_by, onnx_by
from mobilenet.metrics import Images, Logits, Predict
from mobilenet.network import weights
from mobilenet.network.architecture import MobileNetV2
from mobilenet.onnx.mxnet_importer import ImportedModel
from mobilenet.onnx.runtime import OnnxModel
from mobilenet.onnx.untrusted_file import check_untrusted
from mobilenet.pretrained.published_weights import PublishedWeights, config_of, published_at
from mobilenet.pretrained.store import fetch
from mobilenet.pretrained.weights_of_any_kind import read_weights
from mobilenet.progress_bar import say
from mobilenet.runs.described_weights import best_weights, weights_file
from mobilenet.runs.run_folder import CONFIG, run_of
from mobilenet.settings.schema import Config


def open_model(
    path: str | Path,
    config_path: Path | None = None,
    overrides: Sequence[str] = (),
    engine: Engine | None = None,
    as_network: bool = False,
) -> LoadedModel:
    """Opens a published name, a run folder, a checkpoint or a file of weights.

    Files are `.params`, `.onnx`, `.safetensors` and `.npz`. The configuration of a file is
    `config_path`, or a YAML file of the same name beside it, or detected from its arrays.

    Args:
        path: The model; `mobilenet weights` lists the published names.
        config_path: Configuration of a file that has none of its own.
        overrides: Settings, `key.sub=value`, that replace those of the configuration.
        engine: What runs it; by default ONNX Runtime runs ONNX files, and MXNet all others.
        as_network: Also make a Gluon network of an ONNX file.

    Raises:
        WeightsError: There is no such model, or it is damaged, does not fit its network or cannot
            be downloaded.
        ConfigError: A setting is wrong, or `config_path` has no effect on the model.
        DataError: The number of class names differs from the number of classes.
        UserError: The engine is not installed, or cannot be used here.
    """
    path, published = Path(path), published_at(path)
    file = _existing(path) if published is None else fetch(published)
    if file.suffix == ".onnx" and not file.is_dir() and not as_network:
        opened = _OnnxSource(file, published, config_path, overrides)
        return _open_onnx(path, opened, engine or "onnxruntime")
    if published is not None:
        model = _open_published(published, file, config_path, overrides)
    elif path.is_dir():
        model = _open_run(path, config_path, overrides)
    else:
        model = _open_file(path, config_path or _config_beside(path), overrides)
    return network_by(engine or "mxnet", model)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise WeightsError(
            f"{path}: no such file or folder, and no name of published weights; `mobilenet weights`"
            " lists those"
        )
    return path


def takes_config(path: Path) -> bool:
    """Whether the model at `path` has no configuration of its own.

    Raises:
        WeightsError: It is an ONNX file that cannot be read.
    """
    if published_at(path) is not None or path.is_dir():
        return False
    if path.suffix == ".onnx":
        check_untrusted(path)
        return not OnnxModel(path).metadata.knows_preprocessing
    return _config_beside(path) is None


def _config_beside(path: Path) -> Path | None:
    """The YAML file beside a file of weights, as `mobilenet import` writes it."""
    beside = path.with_suffix(".yaml")
    return beside if beside.is_file() else None


def _open_run(path: Path, config_path: Path | None, overrides: Sequence[str]) -> LoadedModel:
    """Opens a run folder by its best checkpoint, or one of its checkpoints."""
    if config_path is not None:
        raise ConfigError(f"{path}: a run has its own configuration; --config would be ignored")
    run = run_of(path)
    if run is None:
        raise WeightsError(f"{path}: neither a run folder nor a checkpoint: no {CONFIG}")
    parameters = best_weights(run) if run == path else weights_file(path)
    config = settings.load(Config, run / CONFIG, overrides)
    return _with_network(path, parameters, config, run / SYNSET)


def _open_published(
    published: PublishedWeights, file: Path, config_path: Path | None, overrides: Sequence[str]
) -> LoadedModel:
    _refuse_config(published, config_path)
    config = config_of(published, overrides)
    model = _with_network(Path(published.name), file, config)
    names = names_of_classes((), config.model.classes)
    return dataclasses.replace(model, published=published, class_names=names)


def _refuse_config(published: PublishedWeights, config_path: Path | None) -> None:
    if config_path is not None:
        raise ConfigError(
            f"{published.name}: its configuration is known, and --config would replace it; leave it"
            " out, or replace single settings by key.sub=value"
        )


def _open_file(path: Path, config_path: Path | None, overrides: Sequence[str]) -> LoadedModel:
    if config_path is not None:
        config = settings.load(Config, config_path, overrides)
        return _with_network(path, path, config, nearest_synset(path, Path(config.data.directory)))
    found = read_network(path, overrides)
    if found.source.is_normalization_guessed:
        _tell_guess(path, found.config, overrides)
    model = _predicting(path, found.network, found.config, found.source.facts.class_names)
    if model.class_names:
        return model
    return _named(model, nearest_synset(path, Path(found.config.data.directory)))


def _tell_guess(path: Path, config: Config, overrides: Sequence[str]) -> None:
    """Warns that the normalisation of the input is a guess, unless the overrides state it."""
    said = {text.partition("=")[0] for text in overrides}
    if not said.issuperset(("data.mean", "data.std")):
        data = config.data
        say(
            f"warning: {path} does not say how its input is normalised; data.mean={list(data.mean)}"
            f" data.std={list(data.std)} are a guess, which `mobilenet audit --normalizations`"
            " compares with others"
        )


def _with_network(
    path: Path, file: Path, config: Config, synset: Path | None = None
) -> LoadedModel:
    network = build.network(config)
    network.initialize(ctx=mx.cpu())
    weights.fit(network, read_weights(file, network), file)
    model = _predicting(path, network, config)
    return model if synset is None else _named(model, synset)


def _predicting(
    path: Path, network: MobileNetV2, config: Config, class_names: tuple[str, ...] = ()
) -> LoadedModel:
    predict = _late_predictor(network, build.contexts(config))
    return LoadedModel(path, config, _fitting(class_names, config, path), predict, network)


def _late_predictor(network: MobileNetV2, contexts: list[mx.Context]) -> Predict:
    """What MXNet predicts. Its graph is made at the first call.

    Where another engine runs the network there is none: it would take longer to make than the other
    engine takes to its first answer.
    """

    @functools.lru_cache(None)
    def predictor() -> Predict:
        return build.predictor(network, contexts)

    def predict(images: Images) -> Logits:
        return predictor()(images)

    return predict


def _named(model: LoadedModel, synset: Path) -> LoadedModel:
    """The model with the class names in the file `synset`, if it is there."""
    lines = read_lines(synset) if synset.is_file() else ()
    return dataclasses.replace(model, class_names=_fitting(lines, model.config, synset))


def _fitting(class_names: tuple[str, ...], config: Config, where: Path) -> tuple[str, ...]:
    """Checks that there are no class names, or one for each class; `where` they come from."""
    if class_names and len(class_names) != config.model.classes:
        raise DataError(
            f"{where}: has names of {len(class_names)} classes, but the model has"
            f" {config.model.classes} classes; give one name for each class"
        )
    return class_names


class _OnnxSource(NamedTuple):
    """An ONNX file and the arguments of `open_model` that concern it."""

    file: Path
    published: PublishedWeights | None
    config_path: Path | None
    overrides: Sequence[str]


def _open_onnx(path: Path, source: _OnnxSource, engine: Engine) -> LoadedModel:
    check_untrusted(source.file)
    if engine == "mxnet":
        model: OnnxModel = ImportedModel(source.file)
    else:
        model = onnx_by(engine, source.file)
    config = _config_of_onnx(path, source, model)
    if config.model.classes != model.num_classes:
        raise WeightsError(
            f"{path}: has {model.num_classes} classes, but model.classes is {config.model.classes}"
        )
    facts, is_published = model.metadata, source.published is not None
    names = names_of_classes((), config.model.classes) if is_published else model.class_names
    said = {text.partition("=")[0] for text in source.overrides}
    is_described = not (source.published is None and source.config_path is None) or all(
        getattr(facts, name) is not None or f"model.{name}" in said
        for name in ("dialect", "width_multiplier")
    )
    height, width = model.resolution or (None, None)
    crop = None if height is None or width is None or height == width else (height, width)
    return LoadedModel(
        path=path,
        config=config,
        class_names=_fitting(names, config, path),
        predict=model.logits,
        network=None,
        calibrated_on=facts.calibrated_on,
        is_described=is_described,
        engine=engine,
        crop=crop,
        published=source.published,
    )


def _config_of_onnx(path: Path, source: _OnnxSource, model: OnnxModel) -> Config:
    """The configuration of the file: given, published, or from its metadata and defaults."""
    config_path, overrides = source.config_path, source.overrides
    if source.published is not None:
        _refuse_config(source.published, config_path)
        return config_of(source.published, overrides)
    if config_path is not None:
        if model.metadata.knows_preprocessing:
            raise ConfigError(
                f"{path}: has its own preprocessing, which --config would replace; leave it out,"
                " or replace single settings by key.sub=value"
            )
        return settings.load(Config, config_path, overrides)
    config = settings.loads(Config, model.settings(), str(path), overrides)
    if not model.metadata.knows_preprocessing:
        _tell_guess(path, config, overrides)
    return config
