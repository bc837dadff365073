"""Answers and counts against their definitions, written out for one image at a time."""

from typing import Sequence

import numpy as np
import pytest
from scipy import special

from mobilenet.data.batch_reader import Batch
from mobilenet.distributed.group import Group
from mobilenet.errors import DataError, VerificationError
from mobilenet.evaluation import collect, evaluate
from mobilenet.metrics import Counts, log_softmax, score


def random_answers(num_images: int = 40, classes: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    # Few different values, so that many logits are equal.
    logits = rng.integers(-3, 4, (num_images, classes)).astype(np.float32)
    return logits, rng.integers(0, classes, num_images).astype(np.int32)


def batches(data: np.ndarray, labels: np.ndarray, size: int) -> list[Batch]:
    starts = range(0, len(labels), size)
    positions = np.arange(len(labels))
    return [
        Batch(data[s : s + size], labels[s : s + size], positions[s : s + size]) for s in starts
    ]


def test_each_answer_is_its_definition() -> None:
    logits, labels = random_answers()
    answers = score(logits, labels)
    for i, row in enumerate(logits.tolist()):
        best_first = sorted(range(len(row)), key=lambda c: (-row[c], c))
        probabilities = special.softmax(np.array(row, np.float64))
        assert answers.ranks[i] == best_first.index(labels[i])
        assert answers.classes[i].tolist() == best_first[:5]
        assert answers.probabilities[i] == pytest.approx(probabilities[best_first[:5]], rel=1e-12)
        assert answers.losses[i] == pytest.approx(-np.log(probabilities[labels[i]]), rel=1e-12)


def test_counts_are_sums_over_the_answers() -> None:
    logits, labels = random_answers()
    answers = score(logits, labels)
    counts = answers.counts()
    assert counts.num_images == 40
    assert counts.num_top1 == sum(labels == answers.classes[:, 0])
    assert counts.num_top5 == sum(
        label in row for label, row in zip(labels.tolist(), answers.classes.tolist())
    )
    assert 0 < counts.num_top1 < counts.num_top5 < 40
    assert counts.loss == pytest.approx(answers.losses.mean(), rel=1e-12)


def test_equal_logits_are_not_a_hit_for_every_class() -> None:
    # A network that answers nothing must not be right about everything.
    counts = score(np.zeros((10, 10), np.float32), np.arange(10, dtype=np.int32)).counts()
    assert (counts.num_top1, counts.num_top5) == (1, 5)


def test_a_model_of_three_classes_has_three_answers() -> None:
    answers = score(np.array([[0, 2, 1]], np.float32), np.array([0], np.int32))
    assert answers.classes.tolist() == [[1, 2, 0]]
    assert answers.counts() == (1, 0, 1, pytest.approx(np.log(1 + np.e + np.e**2)))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_not_finite_ends_the_validation(wrong: float) -> None:
    with pytest.raises(VerificationError, match="not finite"):
        score(np.array([[0, wrong]], np.float32), np.array([0], np.int32))


def test_all_ranks_learn_of_a_logit_that_is_not_finite() -> None:
    """Also the ones whose own are, and none before the last batch, for which the others wait."""

    class Asked(Group):
        def total(self, values: Sequence[float]) -> list[float]:
            totals.append(list(values))
            return list(values)

    totals: list[list[float]] = []
    logits, labels = random_answers()
    logits[0, 0] = np.inf
    with pytest.raises(VerificationError, match="not finite"):
        evaluate(lambda data: data, batches(logits, labels, 7), Asked())
    ((num_images, *_, loss_sum),) = totals
    assert num_images == len(labels)
    assert np.isnan(loss_sum)


def test_log_softmax_of_large_logits() -> None:
    values = log_softmax(np.array([[1000, 0, 999]], np.float32))
    assert values == pytest.approx(special.log_softmax([[1000.0, 0.0, 999.0]]), rel=1e-12)


@pytest.mark.parametrize("size", [1, 7, 40, 64])
def test_batches_do_not_matter(size: int) -> None:
    logits, labels = random_answers()
    whole = score(logits, labels)
    counts = evaluate(lambda data: data, batches(logits, labels, size))
    assert counts[:3] == whole.counts()[:3]
    assert counts.loss == pytest.approx(whole.counts().loss, rel=1e-14)
    for array, expected in zip(collect(lambda data: data, batches(logits, labels, size)), whole):
        np.testing.assert_array_equal(array, expected)


def test_no_image_is_an_error() -> None:
    assert evaluate(lambda data: data, []) == Counts()
    with pytest.raises(DataError, match="no image"):
        collect(lambda data: data, [])
