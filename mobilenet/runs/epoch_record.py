"""How far a run is: what a checkpoint remembers besides arrays, as plain numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Metrics(NamedTuple):
    """What training steps saw, as sums that add up."""

    num_images: int = 0
    loss_sum: float = 0.0
    num_correct: int = 0

    def plus(self, other: Metrics) -> Metrics:
        """The sums over the images of both."""
        return Metrics(
            self.num_images + other.num_images,
            self.loss_sum + other.loss_sum,
            self.num_correct + other.num_correct,
        )

    @property
    def loss(self) -> float:
        """Mean loss in nats, against the targets as they were smoothed and mixed."""
        return self.loss_sum / self.num_images

    @property
    def top1(self) -> float:
        """Top-1 accuracy on the images as they were augmented, as a fraction."""
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
    """What was validated: `val`, or `minival` where there is one."""
    num_images: int
    """Images that were validated."""
    loss: float
    top1: float
    top5: float


@dataclass
class Progress:
    """How far a run is.

    Attributes:
        step: Steps that are done.
        epoch_metrics: Sums over the steps of the epoch that is under way.
        history: The epochs that are trained and validated.
        num_rollbacks: Times that the run went back to a checkpoint, at half the learning rate each.
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
