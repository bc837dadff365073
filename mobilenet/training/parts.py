"""What a training run is made of: finished parts and plain values, made by `training.build`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from mobilenet.data.batch_reader import EvalReader, TrainReader
from mobilenet.distributed.group import Group
from mobilenet.metrics import Predict
from mobilenet.network.graph_forms import TrainingForm
from mobilenet.runs.checkpoint import Retention
from mobilenet.runs.checkpoint_format import Arrays
from mobilenet.training.batchnorm_recalibration import Recalibration
from mobilenet.training.initial_weights import InitialWeights
from mobilenet.training.learner import Learner
from mobilenet.training.learning_rate_schedule import Schedule


@dataclass(frozen=True)
class Parts:
    """What a run is made of.

    Attributes:
        group: The processes that train together.
        reader: Of the training records.
        eval_reader: Of the records that epochs are compared on.
        split: What these are called: `val`, or `minival` where there is one.
        schedule: The learning rate.
        make_learner: Makes the network anew at random weights, with all that trains it.
        initial_weights: Finds the weights to start from, if there are any.
        predictor: Makes of parameters what gives the logits of images.
        recalibration: What computes BatchNorm's statistics afresh before each validation.
        form: Of the training graph.
        data_digests: What tells the record files from others, by split and kind.
        arithmetic: What the last bits depend on besides the settings, by name.
    """

    group: Group
    reader: TrainReader
    eval_reader: EvalReader
    split: str
    schedule: Schedule
    make_learner: Callable[[], Learner]
    initial_weights: Callable[[], InitialWeights | None]
    predictor: Callable[[Arrays], Predict]
    recalibration: Recalibration | None
    form: TrainingForm
    data_digests: dict[str, dict[str, str]]
    arithmetic: dict[str, str]

    def load_initial_weights(self, learner: Learner) -> None:
        """Gives a new learner the weights to start from, if there are any.

        Raises:
            WeightsError: They cannot be read or do not fit the network.
        """
        initial = self.initial_weights()
        if initial is not None:
            initial.load(learner, self.reader.batches(0))


@dataclass(frozen=True)
class Course:
    """How long a run is, and what it keeps of its way.

    Attributes:
        num_epochs: Epochs of the whole run.
        num_classes: Classes that the network tells apart.
        patience: Epochs without a better top-1 after which the run ends; None for no such end.
        max_rollbacks: Times that it may return to a checkpoint.
        log_every_steps: Steps between lines of progress.
        retention: Which checkpoints are written and kept.
        config: The configuration as YAML, which every checkpoint keeps.
    """

    num_epochs: int
    num_classes: int
    patience: int | None
    max_rollbacks: int
    log_every_steps: int
    retention: Retention
    config: str
