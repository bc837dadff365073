"""Builds network, devices, transforms and readers from a Config; they take plain values."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Mapping, Sequence

import mxnet as mx
import numpy as np
from mxnet import gluon

from mobilenet.data.batch_reader import EvalReader, TrainReader
from mobilenet.data.eval_transforms import EvalTransform, Normalization
from mobilenet.data.growing_reader import GrowingReader
from mobilenet.data.record import RecordSource
from mobilenet.data.record_file import RecordFile
from mobilenet.data.record_folder import orientation_warning
from mobilenet.data.synset import num_classes_of
from mobilenet.data.training_augmentation import TrainTransform
from mobilenet.distributed.group import ALONE, Group
from mobilenet.distributed.horovod import HorovodGroup
from mobilenet.distributed.kvstore import KVStoreGroup
from mobilenet.distributed.rank_consistency import check_launched
from mobilenet.errors import ConfigError, DataError
from mobilenet.gpus import Gpu, driver
from mobilenet.metrics import Images, Predict
from mobilenet.network.architecture import DIALECTS, Dialect, MobileNetV2
from mobilenet.network.graph_forms import inference_block, inference_block_of
from mobilenet.progress_bar import say
from mobilenet.settings.field_types import AUTO
from mobilenet.settings.growing_resolution import first_epochs
from mobilenet.settings.schema import Config


def group(config: Config) -> Group:
    """The processes that train together; each of them has to call this.

    Raises:
        ConfigError: They were not started as the engine needs, or their number is wrong.
    """
    settings = config.distributed
    engines = {"none": Group, "kvstore": KVStoreGroup, "horovod": HorovodGroup}
    joined = engines[settings.engine]()
    check_launched(settings.engine, joined)
    if settings.workers not in (None, joined.size):
        raise ConfigError(
            f"distributed.workers: there are {joined.size} processes instead of {settings.workers}"
        )
    return joined


def network(config: Config) -> MobileNetV2:
    """The network, its parameters not yet initialised."""
    model = config.model
    if model.classes == AUTO:
        raise ConfigError(
            "model.classes: auto takes the number from the records of a training; give a number"
        )
    return MobileNetV2(
        model.width_multiplier,
        model.classes,
        dialect(config),
        model.dropout,
        depth_multiplier=model.depth_multiplier,
    )


def dialect(config: Config) -> Dialect:
    """The configured dialect, with the configured activation if there is one."""
    model = config.model
    named = DIALECTS[model.dialect]
    return dataclasses.replace(named, activation=model.activation or named.activation)


def contexts(config: Config) -> list[mx.Context]:
    """The devices of the run.

    Raises:
        ConfigError: A device is not of the form cpu, cpu(1) or gpu(0), is named twice, or is a
            GPU that cannot be used.
    """
    found = [_context(device) for device in config.training.devices]
    for number, context in enumerate(found):
        if context in found[:number]:
            raise ConfigError(f"training.devices: '{context}' is named twice")
    return found


def gpus(config: Config) -> dict[str, Gpu]:
    """The usable GPUs among the devices of the run, by their names in the settings."""
    numbers = {device: _device(device) for device in config.training.devices}
    of_run = {device: number for device, (kind, number) in numbers.items() if kind == "gpu"}
    usable = {n: gpu for n, gpu in enumerate(driver().gpus) if not gpu.obstacle} if of_run else {}
    return {device: usable[number] for device, number in of_run.items() if number in usable}


def _device(name: str) -> tuple[str, int]:
    match = re.fullmatch(r"(cpu|gpu)(?:\((\d+)\))?", name)
    if match is None:
        raise ConfigError(f"training.devices: '{name}' is not of the form cpu, gpu(0), gpu(1)")
    return match[1], int(match[2] or 0)


def _context(device: str) -> mx.Context:
    kind, number = _device(device)
    obstacle = driver().obstacle_to(number) if kind == "gpu" else None
    if obstacle:
        raise ConfigError(
            f"training.devices: '{device}' cannot be used: {obstacle}; or take the CPU:"
            " training.devices=[cpu]"
        )
    return mx.Context(kind, number)


def eval_transform(config: Config) -> EvalTransform:
    """The validation preprocessing."""
    validation, data = config.validation, config.data
    return EvalTransform(
        validation.transform,
        data.resolution,
        validation.short_side or 0,
        normalization(config),
        data.exif_orientation,
    )


def normalization(config: Config) -> Normalization:
    """Mean and standard deviation of the network's input."""
    return Normalization(config.data.mean, config.data.std)


def train_transform(config: Config) -> TrainTransform:
    """The training augmentation."""
    settings = dataclasses.asdict(config.augmentation)
    for of_batches in ("mixup", "cutmix"):
        del settings[of_batches]
    return TrainTransform(
        config.data.resolution,
        normalization=normalization(config),
        exif_orientation=config.data.exif_orientation,
        **settings,
    )


def resolved(config: Config) -> Config:
    """The configuration with what depends on the records as numbers: classes and epochs.

    Raises:
        DataError: The records cannot be read.
    """
    folder, training = Path(config.data.directory), config.training
    if not (folder / "train.rec").exists():
        return config  # `check_records` tells it, with the other mistakes of the call
    if config.model.classes == AUTO:
        num_classes = num_classes_of(folder) or _num_labels(folder)
        config = dataclasses.replace(
            config, model=dataclasses.replace(config.model, classes=num_classes)
        )
    if training.min_steps:
        steps_per_epoch = max(1, len(RecordFile(folder / "train.rec")) // training.batch_size)
        epochs = max(training.epochs, -(-training.min_steps // steps_per_epoch))
        config = dataclasses.replace(config, training=dataclasses.replace(training, epochs=epochs))
    return config


def _num_labels(folder: Path) -> int:
    return 1 + int(RecordFile(folder / "train.rec").labels().max())


def check_records(config: Config) -> None:
    """Refuses a folder without records to train on or to validate on.

    Raises:
        DataError: A file is not there; says how it is made.
    """
    folder = Path(config.data.directory)
    RecordSource(folder / "train.rec").close()
    if not (folder / f"{eval_split(config)}.rec").exists():
        raise DataError(
            f"{folder}: has train.rec, but no val.rec to validate on; `mobilenet prepare --source"
            " IMAGES --output NEW-FOLDER --val 0.2` sets a fifth of the images of each class aside"
        )


def train_records(config: Config) -> RecordFile:
    """The training records in the configured directory.

    Their labels are not read here: that would take minutes for 140 GB, and it would stop at the
    first damaged record even if `data.max_bad_records` allows some. Without a manifest and a synset
    the first batch with a label out of range ends the run.

    Raises:
        DataError: The file or its index is missing, or the model has another number of classes.
    """
    folder, classes = Path(config.data.directory), config.model.classes
    num_classes = num_classes_of(folder)
    if classes != AUTO and num_classes not in (None, classes):
        raise DataError(
            f"{folder}: the records have {num_classes} classes, but the model has {classes}:"
            " model.classes=auto takes the number from the records"
        )
    warning = orientation_warning(folder, config.data.exif_orientation)
    if warning:
        say(f"warning: {warning}")
    return RecordFile(folder / "train.rec")


def eval_records(config: Config, split: str) -> RecordFile:
    """The records of `val` or `minival`, after checking their labels.

    Raises:
        DataError: The file or its index is missing, or a label is not one of the classes.
    """
    folder, classes = Path(config.data.directory), config.model.classes
    path = folder / f"{split}.rec"
    opened = RecordFile(path)
    labels = opened.labels()
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise DataError(
            f"{path}: record {wrong[0]} has label {labels[wrong[0]]}, but the model has"
            f" {classes} classes, 0 to {classes - 1}"
        )
    return opened


def train_reader(config: Config, group: Group = ALONE) -> TrainReader:
    """Shuffled, augmented batches of the training records, or this rank's share of them.

    Raises:
        ConfigError: The ranks cannot share a batch evenly.
        DataError: The records cannot be read.
    """
    training = config.training
    num_shares = group.size * len(training.devices) * training.accumulation
    if training.batch_size % num_shares:
        raise ConfigError(
            f"training.batch_size: {training.batch_size} cannot be shared evenly by {group.size}"
            f" workers, {len(training.devices)} devices each, in {training.accumulation} parts"
        )
    reader = TrainReader(
        train_records(config),
        train_transform(config),
        training.batch_size // group.size,
        training.seed,
        num_workers=config.data.num_workers,
        rank=group.rank,
        world=group.size,
        max_bad_records=config.data.max_bad_records,
    )
    stages = first_epochs(training.resolution_steps, training.epochs)
    return GrowingReader.of(reader, stages) if stages else reader


def eval_split(config: Config) -> str:
    """The split that epochs are compared on: `minival`, held out of training, or else `val`."""
    has_minival = (Path(config.data.directory) / "minival.rec").is_file()
    return "minival" if has_minival else "val"


def eval_reader(config: Config, split: str, group: Group = ALONE) -> EvalReader:
    """Every record of a split once, or this rank's share of them."""
    return EvalReader(
        eval_records(config, split),
        eval_transform(config),
        config.validation.batch_size,
        config.data.num_workers,
        group.rank,
        group.size,
    )


def predictor(network: MobileNetV2, contexts: Sequence[mx.Context]) -> Predict:
    """A predictor by frozen copies of `network`: images `(N, 3, H, W)` to logits `(N, classes)`.

    Each device computes its share of a batch.
    """
    return _predict_by([inference_block(network, context) for context in contexts], contexts)


def predictor_of(
    symbol: mx.sym.Symbol, arrays: Mapping[str, mx.nd.NDArray], contexts: Sequence[mx.Context]
) -> Predict:
    """Like `predictor`, of a plain graph with `arrays` as its parameters."""
    blocks = [inference_block_of(symbol, arrays, context) for context in contexts]
    return _predict_by(blocks, contexts)


def _predict_by(blocks: Sequence[gluon.HybridBlock], contexts: Sequence[mx.Context]) -> Predict:
    def predict(data: Images) -> Images:
        shares = zip(blocks, contexts, np.array_split(data, len(blocks)))
        # All devices start before the first result is read.
        logits = [block(mx.nd.array(part, ctx=at)) for block, at, part in shares if len(part)]
        return np.concatenate([part.asnumpy() for part in logits])

    return predict
