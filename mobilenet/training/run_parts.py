"""The parts of a training run, which `training.build` makes, and its length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from mobilenet.data.batch_reader import EvalReader, TrainReader
from mobilenet.distributed.group import Group
from mobilenet.metrics import Predict
from mobilenet.network.graph_forms import TrainingForm
from mobilenet.runs.checkpoint import Retention
from mobilenet.runs.checkpoint_folder import Arrays
from mobilenet.training.batchnorm_recalibration import Recalibration
from mobilenet.training.initial_weights import InitialWeights
from mobilenet.training.learner import Learner
from mobilenet.training.learning_rate_schedule import Schedule


@dataclass(frozen=True)
class Parts:
    """The parts of a run.

    Attributes:
        group: The processes that train together.
        reader: Reads the training records.
        eval_reader: Reads the records on which epochs are compared.
        split: Their split: `minival` if there is one, else `val`.
        schedule: The learning rate.
        make_learner: Makes a network with random weights, its optimizer and training step.
        initial_weights: Finds the weights to start from, if there are any.
        predictor: Makes a predictor of parameters.
        recalibration: Recomputes BatchNorm's statistics before each validation; None if not needed.
        form: The form of the training graph.
        data_digests: Digests of the record files, by split and kind.
        arithmetic: Circumstances besides settings on which the last bits depend, by name.
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
        """Loads the initial weights, if there are any, into a new learner.

        Raises:
            WeightsError: They cannot be read or do not fit the network.
        """
        initial = self.initial_weights()
        if initial is not None:
            initial.load(learner, self.reader.batches(0))


@dataclass(frozen=True)
class Course:
    """The length of a run, its reports and its checkpoints.

    Attributes:
        num_epochs: Number of epochs of the whole run.
        max_rollbacks: How often it may go back to a checkpoint.
        log_every_steps: Steps between lines of progress.
        retention: Which checkpoints are written and kept.
        config: The configuration as YAML, which is saved in every checkpoint.
    """

    num_epochs: int
    max_rollbacks: int
    log_every_steps: int
    retention: Retention
    config: str
