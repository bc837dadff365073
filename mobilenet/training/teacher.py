"""The teacher of distillation: its logits for each batch, computed in a thread of its own.

It sees the same images as the network that is trained, after all augmentation, mixup and CutMix
(Beyer et al., "Knowledge distillation: a good teacher is patient and consistent", CVPR 2022); only
their size and normalisation are changed to the teacher's.
"""

from __future__ import annotations

import itertools
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Callable, Iterable, Iterator, NamedTuple

import cv2
import numpy as np

from mobilenet.data.batch_reader import Batch
from mobilenet.data.eval_transforms import Floats, Normalization
from mobilenet.errors import DataError, UserError
from mobilenet.training import mixup_cutmix
from mobilenet.training.mixup_cutmix import Mix

# Batches that the teacher may be ahead of the training step.
_NUM_AHEAD = 2


class Lesson(NamedTuple):
    """A batch, before mixup and CutMix, and the teacher's logits for it after them."""

    batch: Batch
    answers: Floats | None = None
    """`(N, classes)`; None without a teacher."""


@dataclass(frozen=True)
class Teacher:
    """A classifier whose answers are trained on.

    Attributes:
        name: What messages call it.
        logits: From its own normalised images `(N, 3, H, W)` to logits `(N, classes)`; called in
            another thread.
        size: Height and width of its input in pixels.
        normalization: Of its input.
        students: The normalisation of the batches.
        mix: Blend of a batch of a shape at a step.
    """

    name: str
    logits: Callable[[Floats], Floats]
    size: tuple[int, int]
    normalization: Normalization
    students: Normalization
    mix: Callable[[tuple[int, ...], int], Mix | None]

    def lessons(self, batches: Iterable[Batch], first_step: int) -> Iterator[Lesson]:
        """The batches with the teacher's answers, which it computes ahead.

        Args:
            batches: Batches of consecutive steps.
            first_step: The step of the first of them, from 0.

        Raises:
            DataError: The teacher cannot answer, besides what `batches` raises.
        """
        pending: deque[Future[Lesson]] = deque()
        pool = ThreadPoolExecutor(1, "teacher")
        try:
            for step, batch in zip(itertools.count(first_step), batches):
                pending.append(pool.submit(self._lesson, batch, step))
                if len(pending) > _NUM_AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _lesson(self, batch: Batch, step: int) -> Lesson:
        mix = self.mix(batch.data.shape, step)
        images = batch.data if mix is None else mixup_cutmix.apply(mix, batch.data)
        return Lesson(batch, self.answers(images))

    def answers(self, images: Floats) -> Floats:
        """The logits `(N, classes)` for `images` `(N, 3, H, W)`, normalised for the student.

        Raises:
            DataError: The teacher cannot take them, or a logit is not finite.
        """
        try:
            logits = self.logits(self.own_images(images))
        except UserError as error:
            raise DataError(f"distillation.teacher: {error}") from error
        if not np.isfinite(logits).all():
            raise DataError(f"distillation.teacher: {self.name} gives logits that are not finite")
        return logits

    def own_images(self, images: Floats) -> Floats:
        """The images at the teacher's size and in its normalisation.

        Resized bilinearly, without averaging, from the student's pixels. Both steps are linear in
        the pixels, so that they need not be rounded to 0 .. 255 in between.
        """
        size = images.shape[2:]
        if size != self.size:
            images = _resized(images, self.size)
        if self.students == self.normalization:
            return images
        mean, std, own_mean, own_std = (
            np.array(values, np.float32).reshape(3, 1, 1)
            for values in (*_pair(self.students), *_pair(self.normalization))
        )
        changed: Floats = images * (std / own_std) + (mean - own_mean) / own_std
        return changed


def _pair(normalization: Normalization) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return normalization.mean, normalization.std


def _resized(images: Floats, size: tuple[int, int]) -> Floats:
    height, width = size
    out = np.empty((*images.shape[:2], height, width), np.float32)
    planes = zip(images.reshape(-1, *images.shape[2:]), out.reshape(-1, height, width))
    for plane, result in planes:
        cv2.resize(plane, (width, height), dst=result, interpolation=cv2.INTER_LINEAR)
    return out
