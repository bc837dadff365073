"""The progress of a run as plain numbers: steps, epochs, losses and accuracies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Metrics(NamedTuple):
    """Sums over the images of training steps."""

    num_images: int = 0
    loss_sum: float = 0.0
    num_correct: int = 0

    def plus(self, other: Metrics) -> Metrics:
        """The sum of both."""
        return Metrics(
            self.num_images + other.num_images,
            self.loss_sum + other.loss_sum,
            self.num_correct + other.num_correct,
        )

    @property
    def loss(self) -> float:
        """Mean loss in nats, with label smoothing and mixing of images."""
        return self.loss_sum / self.num_images

    @property
    def top1(self) -> float:
        """Top-1 accuracy on the augmented images, as a fraction."""
        return self.num_correct / self.num_images


@dataclass(frozen=True)
class EpochRecord:
    """One epoch, trained and validated; accuracies are fractions."""

    epoch: int
    """From 1."""
    step: int
    """Steps since the start of the run."""
    learning_rate: float
    """Of the epoch's last step."""
    train_loss: float
    train_top1: float
    split: str
    """The records that were validated: `minival` if there are any, else `val`."""
    num_images: int
    """Number of images that were validated."""
    loss: float
    top1: float
    top5: float


@dataclass
class Progress:
    """The progress of a run.

    Attributes:
        step: Number of finished steps.
        epoch_metrics: Sums over the steps of the current epoch.
        history: The epochs that have been trained and validated.
        num_rollbacks: How often the run went back to a checkpoint, each time halving the learning
            rate.
    """

    step: int = 0
    epoch_metrics: Metrics = field(default_factory=Metrics)
    history: list[EpochRecord] = field(default_factory=list)
    num_rollbacks: int = 0

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Progress:
        """What `dataclasses.asdict` gave, after JSON."""
        epoch_metrics = Metrics(*values["epoch_metrics"])
        history = [EpochRecord(**record) for record in values["history"]]
        return cls(values["step"], epoch_metrics, history, values["num_rollbacks"])
