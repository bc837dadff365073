"""From the configuration to the parts of a training run, each made once."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Callable

import mxnet as mx

from mobilenet import build, settings
from mobilenet.compat.environment import has_bfloat16
from mobilenet.data.record_folder import record_digests
from mobilenet.data.synset import read_synset
from mobilenet.distributed.group import ALONE, Group
from mobilenet.errors import ConfigError
from mobilenet.network import frozen_stages, initialization
from mobilenet.network.architecture import MobileNetV2
from mobilenet.network.bfloat16_graph import BFLOAT16
from mobilenet.network.complexity import complexity
from mobilenet.network.graph_forms import symbol_of, training_block, training_form
from mobilenet.pretrained import weights_of_any_kind
from mobilenet.runs import run_folder
from mobilenet.runs.checkpoint import Retention
from mobilenet.settings.schema import Config
from mobilenet.training.batchnorm_recalibration import Recalibration
from mobilenet.training.distillation import Distillation
from mobilenet.training.initial_weights import InitialWeights
from mobilenet.training.learner import Learner
from mobilenet.training.learning_rate_schedule import (
    Schedule,
    Shape,
    Span,
    constant,
    cosine,
    exponential,
    polynomial,
    scaled_rate,
    steps,
)
from mobilenet.training.memory import check_memory
from mobilenet.training.opened_teacher import arithmetic_of, opened_teacher
from mobilenet.training.optimizer import Momentum, Optimizer, RMSProp, Rule, WeightDecay
from mobilenet.training.run_parts import Course, Parts
from mobilenet.training.step import Objective, TrainingStep


def parts(config: Config, group: Group = ALONE) -> Parts:
    """All parts of a run.

    Raises:
        ConfigError: There is no such device or precision, the ranks cannot share a batch evenly, or
            the teacher cannot be used.
        DataError: The records cannot be used.
    """
    contexts = devices(config, group)
    form = training_form(contexts, _fused_precision(config))
    reader = build.train_reader(config, group)
    split = build.eval_split(config)
    eval_reader = build.eval_reader(config, split, group)
    symbol = symbol_of(build.network(config))
    teacher, teacher_digest = opened_teacher(config, _objective(config, group).mix)
    return Parts(
        group=group,
        reader=reader,
        split=split,
        eval_reader=eval_reader,
        schedule=schedule(config, reader.steps_per_epoch),
        make_learner=functools.partial(_learner, config, contexts, group),
        initial_weights=functools.partial(initial_weights, config, contexts),
        predictor=functools.partial(build.predictor_of, symbol, contexts=contexts),
        recalibration=_recalibration(config, contexts, group),
        form=form,
        data_digests={
            name: record_digests(opened.records.path)
            for name, opened in (("train", reader), (split, eval_reader))
        },
        arithmetic={
            "OMP_NUM_THREADS": os.environ["OMP_NUM_THREADS"],
            "training graph": form.name,
            "channels in blocks of": f"{form.block_size}",
            **arithmetic_of(teacher),
        },
        teacher=teacher,
        teacher_digest=teacher_digest,
    )


def devices(config: Config, group: Group) -> list[mx.Context]:
    """The devices of a run, which have the memory that a batch takes.

    Raises:
        ConfigError: One is not there, cannot be used or is too small.
    """
    _check_memory(config, group)
    return build.contexts(config)


def _check_memory(config: Config, group: Group) -> None:
    training, gpus = config.training, build.gpus(config)
    if not gpus or training.frozen_stages:  # frozen stages keep nothing: such networks all pass
        return
    num_images = training.batch_size // (group.size * _num_parts(config))
    cost = complexity(symbol_of(build.network(config)), config.data.resolution)
    check_memory(num_images, cost.activations, training.precision, gpus)


def course(config: Config) -> Course:
    """The length of a run, its reports and its checkpoints."""
    keep = config.checkpoint
    return Course(
        num_epochs=config.training.epochs,
        num_classes=config.model.classes,
        patience=config.training.patience,
        max_rollbacks=config.training.rollbacks,
        log_every_steps=config.log.every_steps,
        retention=Retention(
            keep.every_epochs, keep.every_steps, keep.keep_last, keep.keep_every_epochs
        ),
        config=settings.dump(config),
    )


def learner(config: Config, group: Group = ALONE) -> Learner:
    """The network with random weights, its optimizer and its training step."""
    return _learner(config, build.contexts(config), group)


def _learner(config: Config, contexts: list[mx.Context], group: Group) -> Learner:
    training = config.training
    network = build.network(config)
    initialization.initialize(network, contexts, training.seed, training.initializer)
    frozen_stages.freeze(network, training.frozen_stages)
    if training.precision == "float16":
        network.cast(training.precision)
    updates = optimizer(config, network, group)
    step = TrainingStep(
        training_block(network, contexts, _fused_precision(config)),
        contexts,
        _objective(config, group),
        updates,
        training.accumulation,
    )
    return Learner(network, updates, step, training.ema_decay, group)


def _parameter_type(config: Config) -> str:
    """The type of the network's parameters and input."""
    return "float16" if config.training.precision == "float16" else "float32"


def _fused_precision(config: Config) -> str:
    """The type in which the fused form of the graph computes.

    Raises:
        ConfigError: It is bfloat16, which this processor has not.
    """
    if config.training.precision != BFLOAT16:
        return "float32"
    if not has_bfloat16() or training_form([mx.cpu()], BFLOAT16).name == "plain":
        raise ConfigError(
            "training.precision: bfloat16 needs a processor with AVX512-BF16 that oneDNN may use"
            " (`mobilenet info --machine`), which this is not; use float32"
        )
    return BFLOAT16


def optimizer(config: Config, network: MobileNetV2, group: Group = ALONE) -> Optimizer:
    """The optimizer of the parameters of an initialized network."""
    chosen = config.optimizer
    rule: Rule
    if chosen.name == "rmsprop":
        rule = RMSProp(chosen.momentum, chosen.rmsprop_decay or 0.9, chosen.rmsprop_epsilon or 1.0)
    else:
        rule = Momentum(chosen.momentum, nesterov=chosen.name == "nag")
    weight_decay = WeightDecay(
        chosen.weight_decay, chosen.decay_norm_and_bias, chosen.decay_depthwise
    )
    parameters = dict(network.collect_params().items())
    return Optimizer(parameters, rule, weight_decay, chosen.clip_norm, group)


def _objective(config: Config, group: Group) -> Objective:
    training, augmentation = config.training, config.augmentation
    return Objective(
        config.model.classes,
        training.label_smoothing,
        augmentation.mixup,
        augmentation.cutmix,
        training.seed,
        _parameter_type(config),
        group.rank,
        _distillation(config),
    )


def _distillation(config: Config) -> Distillation | None:
    given = config.distillation
    if given.teacher is None:
        return None
    return Distillation(given.teacher_weight or 0.9, given.temperature or 1.0)


def _num_parts(config: Config) -> int:
    """The number of parts in which one device can compute a rank's share of a batch."""
    return len(config.training.devices) * config.training.accumulation


def initial_weights(config: Config, contexts: list[mx.Context]) -> InitialWeights | None:
    """The weights that `training.initial_weights` names; None if it names none.

    Raises:
        UserError: The folder is neither a checkpoint nor a run that has one, published weights are
            of another network or cannot be downloaded, or the configuration or class names of the
            weights cannot be read.
    """
    named = config.training.initial_weights
    if named is None:
        return None
    source = weights_of_any_kind.initial_weights(named, config.model)
    differences = []
    if source.config is not None:
        differences = run_folder.differences(_input(source.config), _input(config))
    return InitialWeights(
        source.file,
        symbol_of(build.network(config)),
        contexts[0],
        _num_parts(config),
        source.class_names,
        read_synset(Path(config.data.directory)),
        tuple(differences),
    )


def _input(config: Config) -> dict[str, object]:
    """The settings, besides shapes, that weights depend on, by name."""
    return {
        "data.mean": config.data.mean,
        "data.std": config.data.std,
        "model.activation": build.dialect(config).activation,
    }


def _recalibration(
    config: Config, contexts: list[mx.Context], group: Group
) -> Recalibration | None:
    training = config.training
    if not training.recalibration_batches:
        return None

    def network() -> MobileNetV2:
        made = build.network(config)
        frozen_stages.freeze(made, training.frozen_stages)
        return made

    return Recalibration(
        network, contexts[0], training.recalibration_batches, _num_parts(config), group
    )


def as_setting(config: Config, rate: float) -> float:
    """The `schedule.learning_rate` by which the highest rate of a run is `rate`."""
    size = config.training.batch_size
    return rate / scaled_rate(1.0, size, config.schedule.reference_batch_size)


def schedule(config: Config, steps_per_epoch: int) -> Schedule:
    """The learning rate at every step of the run."""
    chosen, training = config.schedule, config.training
    num_warmup_steps = round(chosen.warmup_epochs * steps_per_epoch)
    span = Span(num_warmup_steps, training.epochs * steps_per_epoch)
    final = chosen.final_learning_rate / chosen.learning_rate
    shapes: dict[str, Callable[[], Shape]] = {
        "cosine": lambda: cosine(span, final),
        "polynomial": lambda: polynomial(span, final, chosen.power or 1.0),
        "step": lambda: steps(
            tuple(round(epoch * steps_per_epoch) for epoch in chosen.milestones),
            chosen.factor or 0.1,
        ),
        "exponential": lambda: exponential(
            (chosen.every_epochs or 1.0) * steps_per_epoch, chosen.factor or 0.98
        ),
        "constant": constant,
    }
    initial, peak = (
        scaled_rate(rate, training.batch_size, chosen.reference_batch_size)
        for rate in (chosen.initial_learning_rate, chosen.learning_rate)
    )
    return Schedule(peak, shapes[chosen.name](), num_warmup_steps, initial)
