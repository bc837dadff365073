"""What the teacher sees, and that it works ahead of the steps, in order and never too far."""

from __future__ import annotations

import threading
from typing import Iterator

import cv2
import mxnet as mx
import numpy as np
import pytest

from mobilenet.data.batch_reader import Batch
from mobilenet.data.eval_transforms import IMAGENET, TENSORFLOW
from mobilenet.errors import DataError, WeightsError
from mobilenet.training import mixup_cutmix
from mobilenet.training.step import Objective
from mobilenet.training.teacher import Teacher

SIZE, CLASSES, NUM_BATCHES, NUM_AHEAD = 16, 4, 7, 2
WAIT_SECONDS = 30


def batches(num: int = NUM_BATCHES) -> Iterator[Batch]:
    for number in range(num):
        pixels = np.random.default_rng(number).integers(0, 256, (6, 3, SIZE, SIZE))
        data = IMAGENET(pixels.astype(np.uint8))
        yield Batch(data, np.arange(6, dtype=np.int32) % CLASSES, np.arange(6))


def means(images: np.ndarray) -> np.ndarray:
    """Logits that tell images apart."""
    return images.reshape(len(images), CLASSES, -1).mean(axis=2)


def teacher_of(logits=means, size=(SIZE, SIZE), normalization=IMAGENET, mixup=0.0, cutmix=0.0):
    objective = Objective(CLASSES, mixup=mixup, cutmix=cutmix, seed=3)
    return Teacher("my.onnx", logits, size, normalization, IMAGENET, objective.mix)


@pytest.mark.parametrize("size", [(24, 24), (8, 8), (16, 16), (12, 20)])
@pytest.mark.parametrize("normalization", [IMAGENET, TENSORFLOW])
def test_own_size_and_normalisation(size: tuple[int, int], normalization) -> None:
    """The images undone to pixels, resized and normalised, in float64."""
    (batch,) = batches(1)
    seen = teacher_of(size=size, normalization=normalization).own_images(batch.data)
    assert seen.dtype == np.float32
    assert seen.flags.c_contiguous
    for image, found in zip(batch.data, seen):
        column = (3, 1, 1)
        pixels = image * np.reshape(IMAGENET.std, column) + np.reshape(IMAGENET.mean, column)
        resized = cv2.resize(pixels.transpose(1, 2, 0), size[::-1], interpolation=cv2.INTER_LINEAR)
        own = (resized - normalization.mean) / normalization.std
        np.testing.assert_allclose(found, own.transpose(2, 0, 1), atol=1e-5)


@pytest.mark.parametrize("alphas", [(0.4, 0.0), (0.0, 1.0), (0.4, 1.0)])
def test_it_sees_what_the_student_sees(alphas: tuple[float, float]) -> None:
    seen: list[np.ndarray] = []

    def logits(images: np.ndarray) -> np.ndarray:
        seen.append(images)
        return means(images)

    mixup, cutmix = alphas
    objective = Objective(CLASSES, mixup=mixup, cutmix=cutmix, seed=3)
    for step, lesson in enumerate(
        teacher_of(logits, mixup=mixup, cutmix=cutmix).lessons(batches(), first_step=5), 5
    ):
        examples = objective.blend(mx.nd.array(lesson.batch.data), lesson.batch.labels, step)
        np.testing.assert_array_equal(seen[step - 5], examples.images.asnumpy())
        np.testing.assert_array_equal(lesson.answers, means(seen[step - 5]))
    assert len(seen) == NUM_BATCHES


def test_the_blend_is_the_same_in_numpy_and_mxnet() -> None:
    (batch,) = batches(1)
    for step in range(20):
        mix = mixup_cutmix.draw((0, step), batch.data.shape, 0.3, 1.0)
        assert mix is not None
        before = batch.data.copy()
        ours = mixup_cutmix.apply(mix, batch.data)
        theirs = mixup_cutmix.apply(mix, mx.nd.array(batch.data)).asnumpy()
        np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(batch.data, before)


def test_it_answers_while_the_student_learns_and_never_too_far_ahead() -> None:
    answered = [threading.Event() for _ in range(NUM_BATCHES)]
    taken: list[int] = []

    def read() -> Iterator[Batch]:
        for number, batch in enumerate(batches()):
            taken.append(number)
            yield batch

    calls = iter(answered)

    def logits(images: np.ndarray) -> np.ndarray:
        next(calls).set()
        return means(images)

    for number, _ in enumerate(teacher_of(logits).lessons(read(), 0)):
        ahead = min(number + NUM_AHEAD, NUM_BATCHES - 1)
        assert answered[ahead].wait(WAIT_SECONDS), "it waits for the student"
        assert max(taken) == ahead
    assert taken == list(range(NUM_BATCHES))


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("teacher")]


@pytest.mark.parametrize("problem", [WeightsError("no memory"), None])
def test_a_teacher_that_fails_ends_the_lessons(problem: WeightsError | None) -> None:
    def logits(images: np.ndarray) -> np.ndarray:
        if images[0, 0, 0, 0] != first:
            if problem is not None:
                raise problem
            return np.full((len(images), CLASSES), np.nan, np.float32)
        return means(images)

    first = next(batches()).data[0, 0, 0, 0]
    told = "no memory" if problem else "my.onnx gives logits that are not finite"
    lessons = teacher_of(logits).lessons(batches(), 0)
    next(lessons)
    with pytest.raises(DataError, match=f"^distillation.teacher: {told}$"):
        next(lessons)
    assert not threads()


def test_the_thread_ends_with_the_iterator() -> None:
    lessons = teacher_of().lessons(batches(), 0)
    next(lessons)
    assert threads()
    lessons.close()
    assert not threads()


def test_errors_of_reading_pass() -> None:
    def read() -> Iterator[Batch]:
        yield from batches(1)
        raise DataError("bad record")

    with pytest.raises(DataError, match=r"^bad record$"):
        list(teacher_of().lessons(read(), 0))
    assert not threads()
