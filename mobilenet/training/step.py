"""One optimizer step: forward, loss and backward on every device, then the update."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Callable, Iterator, NamedTuple, Optional

import mxnet as mx
import numpy as np
import numpy.typing as npt
from mxnet import autograd, gluon

from mobilenet.distributed.group import Group
from mobilenet.runs.epoch_record import Metrics
from mobilenet.training import label_smoothing_cross_entropy as loss
from mobilenet.training import mixup_cutmix
from mobilenet.training.distillation import Distillation
from mobilenet.training.optimizer import Optimizer

# Purposes of random streams, which make the streams independent.
_MIXING, _DROPOUT = 2, 3

Answers = Optional[npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Objective:
    """The training targets, and the random changes of images and activations.

    Attributes:
        classes: Number of classes.
        label_smoothing: Fraction of the target that is spread over all classes.
        mixup: Alpha of mixup; 0 for none.
        cutmix: Alpha of CutMix; 0 for none.
        seed: Seed of blends and dropout.
        precision: Type of the network's input.
        rank: Number of this process; each has its own dropout.
        distillation: The part of a teacher; None without one.
    """

    classes: int
    label_smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    seed: int = 0
    precision: str = "float32"
    rank: int = 0
    distillation: Distillation | None = None

    def mix(self, shape: tuple[int, ...], step: int) -> mixup_cutmix.Mix | None:
        """The blend of a step's batch of `shape` `(N, C, H, W)`; None without mixup and CutMix."""
        key = (self.seed, _MIXING, step)
        return mixup_cutmix.draw(key, shape, self.mixup, self.cutmix)

    def blend(
        self, images: mx.nd.NDArray, labels: loss.Labels, step: int, answers: Answers = None
    ) -> Examples:
        """The images and targets of a step, after mixup or CutMix if configured.

        `answers` are a teacher's logits `(N, classes)` for the images after that.
        """
        targets = loss.one_hot(labels, self.classes, self.label_smoothing)
        mix = self.mix(images.shape, step)
        if mix is not None:
            images, targets = (
                mixup_cutmix.apply(mix, images),
                loss.mixed(targets, mix.partner, mix.own),
            )
        images = images.astype(self.precision, copy=False)
        taught = None
        if self.distillation is not None and answers is not None:
            taught = mx.nd.array(self.distillation.targets(answers))
        return Examples(images, mx.nd.array(targets), mx.nd.array(labels), taught)

    def losses(self, logits: mx.nd.NDArray, examples: Examples) -> mx.nd.NDArray:
        """The loss of each image, `(N,)`."""
        if self.distillation is None:
            return loss.cross_entropy(logits, examples.targets)
        assert examples.taught is not None, "with a teacher, its answers come with every batch"
        return self.distillation.loss(logits, examples.targets, examples.taught)

    def seed_dropout(self, step: int) -> None:
        """Seeds the random numbers of layers by seed, step and rank."""
        random = np.random.default_rng((self.seed, _DROPOUT, step, self.rank))
        mx.random.seed(int(random.integers(2**31)))


class Examples(NamedTuple):
    """Images `(N, C, H, W)`, targets `(N, classes)` and labels `(N,)`; `taught` by a teacher."""

    images: mx.nd.NDArray
    targets: mx.nd.NDArray
    labels: mx.nd.NDArray
    taught: mx.nd.NDArray | None = None

    def parts(self, num_parts: int) -> Iterator[Examples]:
        """Equal parts in order."""
        size = self.images.shape[0] // num_parts
        for start in range(0, size * num_parts, size):
            yield self._each(operator.itemgetter(slice(start, start + size)))

    def on(self, context: mx.Context) -> Examples:
        """The same on the device `context`."""
        return self._each(lambda array: array.as_in_context(context))

    def _each(self, change: Callable[[mx.nd.NDArray], mx.nd.NDArray]) -> Examples:
        return Examples(*(None if array is None else change(array) for array in self))


class Outcome(NamedTuple):
    """The metrics of a step, and the norm of its gradient before clipping."""

    metrics: Metrics
    gradient_norm: float

    @property
    def is_finite(self) -> bool:
        """Whether loss and gradient are finite."""
        return math.isfinite(self.metrics.loss_sum) and math.isfinite(self.gradient_norm)


class PendingOutcome(NamedTuple):
    """The outcome of a step that the devices may still be computing."""

    num_images: int
    losses: list[mx.nd.NDArray]
    num_correct: list[mx.nd.NDArray]
    gradient_norm: mx.nd.NDArray

    def over(self, group: Group) -> PendingOutcome:
        """Queues the outcome over all ranks, which have the same number of images."""
        group.sum([*self.losses, *self.num_correct])
        return self._replace(num_images=self.num_images * group.size)

    def read(self) -> Outcome:
        """Waits for the step to end."""
        losses = sum(float(value.asscalar()) for value in self.losses)
        num_correct = sum(int(value.asscalar()) for value in self.num_correct)
        metrics = Metrics(self.num_images, losses, num_correct)
        return Outcome(metrics, float(self.gradient_norm.asscalar()))


class TrainingStep:
    """Trains `block` on one batch per call, without waiting for the devices.

    Args:
        block: Maps images to logits; its parameters are on all `contexts`.
        contexts: Devices that share each batch evenly.
        objective: Turns a batch into images and targets.
        optimizer: Updates the parameters.
        accumulation: Number of parts in which a device computes its share of a batch.
    """

    def __init__(
        self,
        block: gluon.HybridBlock,
        contexts: list[mx.Context],
        objective: Objective,
        optimizer: Optimizer,
        accumulation: int = 1,
    ) -> None:
        self._block = block
        self._contexts = contexts
        self._objective = objective
        self._optimizer = optimizer
        self._accumulation = accumulation
        self._sums = self._accumulate() if accumulation > 1 else []

    def _accumulate(self) -> list[mx.nd.NDArray]:
        """Makes backward passes add to the gradients instead of replacing them; returns these."""
        parameters = self._block.collect_params().values()
        trained = [parameter for parameter in parameters if parameter.grad_req != "null"]
        for parameter in trained:
            parameter.grad_req = "add"
        return [gradient for parameter in trained for gradient in parameter.list_grad()]

    def __call__(
        self,
        images: npt.NDArray[np.float32],
        labels: loss.Labels,
        step: int,
        rate: float,
        answers: Answers = None,
    ) -> PendingOutcome:
        """Queues the step numbered `step` with the learning rate `rate`."""
        self._objective.seed_dropout(step)
        examples = self._objective.blend(mx.nd.array(images), labels, step, answers)
        for gradient in self._sums:
            gradient[:] = 0
        losses, correct = [], []
        for shard, context in zip(examples.parts(len(self._contexts)), self._contexts):
            for part in shard.parts(self._accumulation):
                part_loss, part_correct = self._backward(part.on(context))
                losses.append(part_loss)
                correct.append(part_correct)
        norm = self._optimizer.step(rate, len(labels))
        return PendingOutcome(len(labels), losses, correct, norm)

    def _backward(self, examples: Examples) -> tuple[mx.nd.NDArray, mx.nd.NDArray]:
        """Computes gradients; returns the sum of the losses and the number of right predictions."""
        with autograd.record():
            logits = self._block(examples.images)
            loss_sum = self._objective.losses(logits, examples).sum()
        loss_sum.backward()
        return loss_sum, loss.num_correct(logits, examples.labels)
