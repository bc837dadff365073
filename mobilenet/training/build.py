"""From the configuration to the parts of a training run, which never see a Config."""

from __future__ import annotations

from typing import Callable

from mobilenet import build
from mobilenet.distributed.group import ALONE, Group
from mobilenet.network.architecture import MobileNetV2
from mobilenet.network.graph_forms import training_block
from mobilenet.settings.schema import Config
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
from mobilenet.training.optimizer import Momentum, Optimizer, RMSProp, Rule, WeightDecay
from mobilenet.training.step import Objective, TrainingStep


def schedule(config: Config, steps_per_epoch: int) -> Schedule:
    """The learning rate at every step of the run."""
    settings, training = config.schedule, config.training
    num_warmup_steps = round(settings.warmup_epochs * steps_per_epoch)
    span = Span(num_warmup_steps, training.epochs * steps_per_epoch)
    final = settings.final_learning_rate / settings.learning_rate
    shapes: dict[str, Callable[[], Shape]] = {
        "cosine": lambda: cosine(span, final),
        "polynomial": lambda: polynomial(span, final, settings.power or 1.0),
        "step": lambda: steps(
            tuple(round(epoch * steps_per_epoch) for epoch in settings.milestones),
            settings.factor or 0.1,
        ),
        "exponential": lambda: exponential(
            (settings.every_epochs or 1.0) * steps_per_epoch, settings.factor or 0.98
        ),
        "constant": constant,
    }
    initial, peak = (
        scaled_rate(rate, training.batch_size, settings.reference_batch_size)
        for rate in (settings.initial_learning_rate, settings.learning_rate)
    )
    return Schedule(peak, shapes[settings.name](), num_warmup_steps, initial)


def optimizer(config: Config, network: MobileNetV2, group: Group = ALONE) -> Optimizer:
    """The optimizer of the parameters of an initialized network."""
    settings = config.optimizer
    rule: Rule
    if settings.name == "rmsprop":
        rule = RMSProp(
            settings.momentum, settings.rmsprop_decay or 0.9, settings.rmsprop_epsilon or 1.0
        )
    else:
        rule = Momentum(settings.momentum, nesterov=settings.name == "nag")
    weight_decay = WeightDecay(
        settings.weight_decay, settings.decay_norm_and_bias, settings.decay_depthwise
    )
    parameters = dict(network.collect_params().items())
    return Optimizer(parameters, rule, weight_decay, settings.clip_norm, group)


def training_step(
    config: Config, network: MobileNetV2, optimizer: Optimizer, group: Group = ALONE
) -> TrainingStep:
    """What trains an initialized network on one batch after the other."""
    training, augmentation = config.training, config.augmentation
    objective = Objective(
        config.model.classes,
        training.label_smoothing,
        augmentation.mixup,
        augmentation.cutmix,
        training.seed,
        training.precision,
        group.rank,
    )
    devices = build.contexts(config)
    block = training_block(network, devices)
    return TrainingStep(block, devices, objective, optimizer, training.accumulation)
