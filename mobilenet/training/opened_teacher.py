"""Opens the teacher that a configuration names, and checks that it fits the run."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Callable, Iterator

import numpy as np
import onnxruntime

from mobilenet import build
from mobilenet.compat.environment import num_threads
from mobilenet.data.class_folder_labels import class_id
from mobilenet.data.synset import read_synset
from mobilenet.errors import ConfigError, UserError
from mobilenet.inference.classifier import Classifier, open_classifier
from mobilenet.settings.schema import Config
from mobilenet.training.mixup_cutmix import Mix
from mobilenet.training.teacher import Teacher


def opened_teacher(
    config: Config, mix: Callable[[tuple[int, ...], int], Mix | None]
) -> tuple[Teacher | None, dict[str, str]]:
    """The teacher, and its identity: SHA-256 and input. None and nothing without a teacher.

    Args:
        config: The configuration of the run.
        mix: Blend of a batch of a shape at a step.

    Raises:
        ConfigError: It cannot be opened or run, or has other classes than the run.
    """
    name = config.distillation.teacher
    if name is None:
        return None, {}
    threads = num_threads()
    gpus = [device.device_id for device in build.contexts(config) if device.device_type == "gpu"]
    gpu = gpus[0] if gpus else None
    try:
        classifier = open_classifier(name, tuple(_overrides(config)), threads, gpu)
    except UserError as error:
        raise ConfigError(f"distillation.teacher: {error}") from error
    _check_classes(classifier, config)
    taught, own = classifier.normalization, build.normalization(config)
    teacher = Teacher(name, classifier.logits, classifier.size, taught, own, mix)
    resolution = config.data.resolution
    teacher.answers(np.zeros((1, 3, resolution, resolution), np.float32))  # whether it runs at all
    digest = {
        "SHA-256": classifier.sha256,
        "input": f"{'x'.join(map(str, classifier.size))} px, mean {taught.mean}, std {taught.std}",
    }
    return teacher, digest


def arithmetic_of(teacher: Teacher | None) -> dict[str, str]:
    """The circumstances on which the last bits of its answers depend, by name."""
    return {"ONNX Runtime of the teacher": str(onnxruntime.__version__)} if teacher else {}


def _overrides(config: Config) -> Iterator[str]:
    given = config.distillation
    if given.teacher_resolution is not None:
        yield f"data.resolution={given.teacher_resolution}"
        yield "validation.short_side=null"  # of its own resolution; nothing is cropped here
    for name, values in (("mean", given.teacher_mean), ("std", given.teacher_std)):
        if values is not None:
            yield f"data.{name}={list(values)}"


def _check_classes(classifier: Classifier, config: Config) -> None:
    """Refuses a teacher of another number of classes or, where both are known, of other classes."""
    theirs, folder = classifier.class_names, Path(config.data.directory)
    name, num_classes = classifier.name, config.model.classes
    if classifier.num_classes != num_classes:
        raise ConfigError(
            f"distillation.teacher: {name} has {classifier.num_classes} classes, but the records"
            f" have {num_classes}; a teacher knows the classes of the records, in their order"
        )
    own = read_synset(folder)
    pairs = itertools.zip_longest(theirs, own, fillvalue="") if theirs and own else ()
    for label, (their_class, own_class) in enumerate(pairs):
        if class_id(their_class) != class_id(own_class):
            raise ConfigError(
                f"distillation.teacher: {name} has other classes than the records: label {label} is"
                f" {their_class!r} there and {own_class!r} in {folder}"
            )
