"""The settings of how a step changes the parameters: two sections of the YAML file."""

from dataclasses import dataclass
from typing import Annotated, Literal, Optional

from mobilenet.settings.field_types import Count, NotNegative, Positive, Range, SettingError


@dataclass(frozen=True)
class OptimizerConfig:
    """How gradients change the parameters."""

    name: Literal["nag", "sgd", "rmsprop"] = "nag"
    """Nesterov momentum, plain momentum, or RMSProp in TensorFlow's form."""
    momentum: Annotated[float, Range(at_least=0, below=1)] = 0.9
    """Momentum."""
    weight_decay: NotNegative = 4e-5
    """L2 penalty on the weights of convolutions and of the classifier."""
    decay_norm_and_bias: bool = False
    """Weight decay also applies to BatchNorm's gamma and beta and to the bias."""
    decay_depthwise: bool = True
    """Weight decay also applies to depthwise convolutions (TensorFlow leaves them out)."""
    rmsprop_decay: Optional[Annotated[float, Range(above=0, below=1)]] = None
    """RMSProp: decay of the mean square; 0.9 by default."""
    rmsprop_epsilon: Optional[Positive] = None
    """RMSProp: added to the mean square under the root; 1.0 by default."""
    clip_norm: Optional[Positive] = None
    """Largest norm of the whole gradient; a larger gradient is scaled down to it."""

    def __post_init__(self) -> None:
        for name in ("rmsprop_decay", "rmsprop_epsilon"):
            if self.name != "rmsprop" and getattr(self, name) is not None:
                raise SettingError(name, f"has no effect on the optimizer '{self.name}'")


@dataclass(frozen=True)
class ScheduleConfig:
    """The learning rate as a function of the step alone."""

    name: Literal["cosine", "step", "exponential", "polynomial", "constant"] = "cosine"
    """How the rate falls after the warm-up."""
    learning_rate: Annotated[float, Range(above=0, at_most=1000)] = 0.05
    """Highest rate, for `reference_batch_size` images per step."""
    reference_batch_size: Optional[Count] = None
    """The rate is scaled by training.batch_size / this; not scaled by default."""
    warmup_epochs: NotNegative = 0.0
    """Epochs over which the rate rises linearly."""
    initial_learning_rate: NotNegative = 0.0
    """The rate from which the warm-up rises; scaled likewise."""
    final_learning_rate: NotNegative = 0.0
    """cosine, polynomial: the rate at the end; scaled likewise."""
    milestones: tuple[Positive, ...] = ()
    """step: epochs at which the rate is multiplied by `factor`, rising."""
    factor: Optional[Annotated[float, Range(above=0, below=1)]] = None
    """step, exponential: what the rate is multiplied by; 0.1 and 0.98 by default."""
    every_epochs: Optional[Positive] = None
    """exponential: the rate is multiplied once per this many epochs; 1 by default."""
    power: Optional[Positive] = None
    """polynomial: exponent; 1 by default."""

    def __post_init__(self) -> None:
        users = {
            "milestones": ("step",),
            "factor": ("step", "exponential"),
            "every_epochs": ("exponential",),
            "power": ("polynomial",),
            "final_learning_rate": ("cosine", "polynomial"),
        }
        for name, schedules in users.items():
            if getattr(self, name) and self.name not in schedules:
                raise SettingError(name, f"has no effect on the '{self.name}' schedule")
        if self.initial_learning_rate and not self.warmup_epochs:
            raise SettingError("initial_learning_rate", "has no effect without warmup_epochs")
        if self.name == "step" and not self.milestones:
            raise SettingError("milestones", "the 'step' schedule needs at least one")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise SettingError("milestones", "must rise")
        for name in ("initial_learning_rate", "final_learning_rate"):
            if getattr(self, name) > self.learning_rate:
                raise SettingError(name, f"must not exceed learning_rate (={self.learning_rate})")
