"""The parts of a training run, which `training.build` makes, and its length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Iterator

from mobilenet.data.batch_reader import EvalReader, TrainReader
from mobilenet.distributed.group import Group
from mobilenet.metrics import Predict
from mobilenet.network.graph_forms import TrainingForm
from mobilenet.runs.checkpoint import Retention
from mobilenet.runs.checkpoint_folder import Arrays, State
from mobilenet.runs.epoch_record import Progress
from mobilenet.training.batchnorm_recalibration import Recalibration
from mobilenet.training.initial_weights import InitialWeights
from mobilenet.training.learner import Learner
from mobilenet.training.learning_rate_schedule import Schedule
from mobilenet.training.teacher import Lesson, Teacher


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
        teacher: Whose answers are trained on; None without one.
        teacher_digest: SHA-256 and input of the teacher; empty without one.
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
    teacher: Teacher | None
    teacher_digest: dict[str, str]

    def lessons(self, epoch: int, first_step: int = 0) -> Iterator[Lesson]:
        """The batches of an epoch from a step of it on, both from 0, with the teacher's answers."""
        batches = self.reader.batches(epoch, first_step)
        if self.teacher is None:
            return map(Lesson, batches)
        return self.teacher.lessons(batches, epoch * self.reader.steps_per_epoch + first_step)

    def state(self, progress: Progress, config: str, weights: str) -> State:
        """The state of a checkpoint; `weights` names the group of arrays that is validated."""
        return State(
            progress,
            config,
            self.data_digests,
            weights,
            arithmetic=self.arithmetic,
            teacher=self.teacher_digest,
        )

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
        num_classes: Number of classes of the network.
        patience: Epochs without a better top-1 after which the run ends; None for no such end.
        max_rollbacks: How often it may go back to a checkpoint.
        log_every_steps: Steps between lines of progress.
        retention: Which checkpoints are written and kept.
        config: The configuration as YAML, which is saved in every checkpoint.
    """

    num_epochs: int
    num_classes: int
    patience: int | None
    max_rollbacks: int
    log_every_steps: int
    retention: Retention
    config: str
