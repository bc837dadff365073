"""Views of images and the average over them, against the probabilities written out."""

import numpy as np
import pytest
from scipy import special

from mobilenet.metrics import score
from mobilenet.validation.multi_crop import averaged, flips, ten_crops
from mobilenet.validation.validate import _restricted

PROJECTION = np.random.default_rng(4).normal(size=(3 * 4 * 4, 7))


def predict(images: np.ndarray) -> np.ndarray:
    """A linear model that no symmetry helps."""
    assert images.flags.c_contiguous
    return (images.reshape(len(images), -1) @ PROJECTION).astype(np.float32)


def images(size: int) -> np.ndarray:
    return np.random.default_rng(5).normal(size=(3, 3, size, size)).astype(np.float32)


def test_flips_average_the_two_probabilities() -> None:
    batch = images(4)
    expected = (
        special.softmax(predict(batch).astype(np.float64), axis=1)
        + special.softmax(predict(batch[:, :, :, ::-1].copy()).astype(np.float64), axis=1)
    ) / 2
    assert np.exp(averaged(predict, flips)(batch)) == pytest.approx(expected, rel=1e-6)


def test_ten_crops_are_those_of_alexnet() -> None:
    batch = images(7)
    tops_lefts = [(0, 0), (0, 3), (3, 0), (3, 3), (1, 1)]
    expected = []
    for top, left in tops_lefts:
        crop = batch[:, :, top : top + 4, left : left + 4]
        expected += [crop, np.flip(crop, axis=3)]
    crops = ten_crops(4, 4)(batch)
    assert len(crops) == 10
    for crop, wanted in zip(crops, expected):
        np.testing.assert_array_equal(crop, wanted)
    mean = np.mean([special.softmax(predict(crop.copy()), axis=1) for crop in expected], axis=0)
    assert np.exp(averaged(predict, ten_crops(4, 4))(batch)) == pytest.approx(mean, rel=1e-5)


def test_the_average_of_logits_would_be_something_else() -> None:
    # One view is sure of class 0, the other slightly prefers class 1: the sure one decides
    # the mean probability by its probability, not by its logit.
    logits = iter([np.array([[9.0, 0.0, 0.0]]), np.array([[-9.0, 0.0, 0.0]])])
    answer = averaged(lambda _: next(logits).astype(np.float32), flips)(images(1))
    assert answer.argmax() == 0
    assert np.exp(answer[0]) == pytest.approx([0.5, 0.25, 0.25], abs=2e-4)


def test_an_averaged_prediction_can_be_scored() -> None:
    logits = averaged(predict, flips)(images(4))
    assert np.exp(logits.astype(np.float64)).sum(axis=1) == pytest.approx(1, rel=1e-6)
    losses = score(logits, np.zeros(3, np.int32)).losses
    assert losses == pytest.approx(-logits[:, 0], abs=1e-6)


def test_probabilities_that_vanish_stay_finite() -> None:
    sure = np.array([[800.0, 0.0]], np.float32)
    assert np.isfinite(averaged(lambda _: sure, flips)(images(1))).all()


def test_restricted_probabilities_are_conditional() -> None:
    kept = np.array([1, 4, 6])
    batch = images(4)
    logits = _restricted(predict, kept)(batch)
    answers = score(logits, np.array([1, 4, 6], np.int32))
    conditional = special.softmax(predict(batch).astype(np.float64)[:, kept], axis=1)
    assert answers.losses == pytest.approx(-np.log(np.diag(conditional)), rel=1e-6)
    assert set(answers.classes[:, :3].ravel().tolist()) == {1, 4, 6}
    assert answers.probabilities[:, 3:].max() == 0
