"""Which setting is meant by a key that there is not: one of another section, or another program's.

The names of other programs are those of torchvision's, timm's, gluoncv's and Keras's training.
"""

from __future__ import annotations

import difflib
from typing import Sequence

from mobilenet.errors import ConfigError, UserError, did_you_mean, together
from mobilenet.settings.field_types import UnknownKeyError

_ELSEWHERE = {
    "optimizer.name": "opt optimizer",
    "optimizer.weight_decay": "wd l2",
    "optimizer.decay_norm_and_bias": "norm_weight_decay bias_weight_decay",
    "schedule.learning_rate": "lr learning_rate base_lr rate",
    "schedule.name": "sched scheduler lr_scheduler lr_mode lr_schedule schedule",
    "schedule.warmup_epochs": "warmup lr_warmup_epochs",
    "schedule.milestones": "lr_decay_epoch lr_steps decay_milestones",
    "schedule.factor": "lr_decay lr_gamma decay_rate gamma",
    "training.batch_size": "batch b bs",
    "training.devices": "device gpu gpus num_gpus cuda",
    "training.epochs": "num_epochs epoch n_epochs max_epochs",
    "training.ema_decay": "ema model_ema_decay",
    "training.initial_weights": "pretrained weights use_pretrained resume_params",
    "training.label_smoothing": "smoothing",
    "training.precision": "amp fp16 half dtype",
    "training.accumulation": "grad_accum_steps accumulate",
    "optimizer.clip_norm": "clip_grad clip_grad_norm clip",
    "data.directory": "data data_dir data_path dataset datadir root",
    "data.num_workers": "workers j num_data_workers threads",
    "data.resolution": "size img_size image_size imgsz input_size crop_size train_crop_size",
    "model.classes": "num_classes nb_classes num_class",
    "model.width_multiplier": "width alpha width_mult multiplier",
    "augmentation.flip": "hflip hflip_prob",
    "augmentation.random_erasing": "reprob random_erase erasing",
    "distillation.teacher": "teacher_model distill kd",
    "distributed.engine": "kvstore horovod",
}
_MEANT = {word: key for key, words in _ELSEWHERE.items() for word in words.split()}


def keys_meant(written: str, keys: Sequence[str], cutoff: float = 0.75) -> list[str]:
    """Those of the dotted `keys` that an option `--written` or a key is likely to mean.

    `cutoff` is how alike their names have to be: 1 admits equal ones, and those of other programs.
    """
    name = written.lstrip("-").replace("-", "_").lower()
    if name in keys:
        return [name]
    of_others = [_MEANT[name]] if _MEANT.get(name) in keys else []
    names = [key.rpartition(".")[2] for key in keys]
    close = difflib.get_close_matches(name, names, 1, 1 if of_others else cutoff)
    return of_others + [key for key, its_name in zip(keys, names) if its_name in close]


def with_hints(error: UserError, keys: Sequence[str]) -> UserError:
    """The error, but for every unknown key with what may have been meant by it."""
    return together(
        ConfigError(f"{one}{_hint(one, keys)}") if isinstance(one, UnknownKeyError) else one
        for one in error.mistakes
    )


def _hint(unknown: UnknownKeyError, keys: Sequence[str]) -> str:
    meant = keys_meant(unknown.name, keys, cutoff=1)
    here = [key for key in meant if key.rpartition(".")[0] == unknown.section]
    if here:
        return f"; did you mean {here[0].rpartition('.')[2]!r}?"
    if meant:
        return f"; did you mean {' or '.join(map(repr, meant))}?"
    return did_you_mean(unknown.name, unknown.known) or f"; known are {', '.join(unknown.known)}"
