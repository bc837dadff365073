"""The statistics against closed forms, written-out definitions and SciPy."""

import math

import numpy as np
import pytest
from scipy import special, stats

from mobilenet.metrics import score
from mobilenet.validation import accuracy_statistics


@pytest.mark.parametrize(
    "successes, trials", [(0, 1), (1, 1), (0, 50), (50, 50), (252, 300), (35470, 50000), (1, 3)]
)
def test_wilson_interval_is_scipys(successes: int, trials: int) -> None:
    expected = stats.binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    interval = accuracy_statistics.wilson_interval(successes, trials)
    assert interval == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_interval_bounds_solve_its_quadratic() -> None:
    # Its definition: the fractions p from which the observed one is z standard deviations away.
    for p in accuracy_statistics.wilson_interval(7, 40):
        deviations = abs(7 / 40 - p) / math.sqrt(p * (1 - p) / 40)
        assert deviations == pytest.approx(stats.norm.ppf(0.975), abs=1e-9)


def test_wilson_interval_of_nothing_or_all_ends_at_the_closed_form() -> None:
    z2 = stats.norm.ppf(0.975) ** 2
    assert accuracy_statistics.wilson_interval(0, 20) == (0.0, pytest.approx(z2 / (20 + z2)))
    assert accuracy_statistics.wilson_interval(20, 20) == (pytest.approx(20 / (20 + z2)), 1.0)


@pytest.mark.parametrize("successes, trials", [(0, 0), (-1, 4), (5, 4), (0, -1)])
def test_wilson_interval_needs_possible_counts(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="no interval"):
        accuracy_statistics.wilson_interval(successes, trials)


def written_out_calibration_error(confidence, correct, num_bins):
    error = 0.0
    for low, high in zip(np.arange(num_bins) / num_bins, np.arange(1, num_bins + 1) / num_bins):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            gap = abs(confidence[inside].mean() - correct[inside].mean())
            error += inside.mean() * gap
    return error


@pytest.mark.parametrize("num_bins", [1, 10, 15])
def test_calibration_error_is_its_definition(num_bins: int) -> None:
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.001, 1, 2000)
    correct = rng.uniform(size=2000) < confidence**2
    result = accuracy_statistics.calibration(confidence, correct, num_bins)
    expected = written_out_calibration_error(confidence, correct, num_bins)
    assert result.error == pytest.approx(expected, abs=1e-12)
    assert expected > 0.1  # x against x squared: 1/6 on average
    assert sum(item.num_images for item in result.bins) == 2000


def test_a_calibrated_network_has_no_calibration_error() -> None:
    confidence = np.repeat([0.25, 0.75], 400)
    correct = np.concatenate([np.arange(400) < 100, np.arange(400) < 300])
    result = accuracy_statistics.calibration(confidence, correct, 10)
    assert result.error == pytest.approx(0, abs=1e-12)
    assert result.bins[2][2:] == (400, pytest.approx(0.25), pytest.approx(0.25))


def test_calibration_bins_are_closed_above_and_the_first_holds_0() -> None:
    confidence = np.array([0.0, 0.5, 0.5000001, 1.0])
    result = accuracy_statistics.calibration(confidence, np.array([True, False, True, True]), 2)
    assert [item.num_images for item in result.bins] == [2, 2]
    assert [(item.low, item.high) for item in result.bins] == [(0, 0.5), (0.5, 1)]


def test_an_empty_calibration_bin_has_no_accuracy() -> None:
    result = accuracy_statistics.calibration(np.array([0.9]), np.array([True]), 2)
    assert result.bins[0].num_images == 0
    assert math.isnan(result.bins[0].accuracy) and math.isnan(result.bins[0].confidence)


def test_confusions_and_classes_are_scikit_learns() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn")
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 6, 400)
    predicted = np.where(rng.uniform(size=400) < 0.6, labels, rng.integers(0, 6, 400))
    expected = metrics.confusion_matrix(labels, predicted)
    for label, taken, number in accuracy_statistics.confusions(labels, predicted):
        assert expected[label, taken] == number
    counts = accuracy_statistics.class_counts(labels, labels == predicted, 6)
    assert counts.num_correct.tolist() == np.diag(expected).tolist()
    recall = metrics.recall_score(labels, predicted, average=None)
    assert counts.num_correct / counts.num_images == pytest.approx(recall)


def test_calibration_bins_are_scikit_learns() -> None:
    calibration = pytest.importorskip("sklearn.calibration", reason="needs scikit-learn")
    rng = np.random.default_rng(4)
    confidence = rng.uniform(0.001, 0.999, 3000)
    correct = rng.uniform(size=3000) < confidence**1.5
    accuracy, mean = calibration.calibration_curve(correct, confidence, n_bins=15)
    bins = accuracy_statistics.calibration(confidence, correct).bins
    assert [item.accuracy for item in bins] == pytest.approx(accuracy.tolist())
    assert [item.confidence for item in bins] == pytest.approx(mean.tolist())


def test_top_counts_and_loss_are_scikit_learns() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn")
    rng = np.random.default_rng(5)
    logits, labels = rng.normal(size=(300, 12)).astype(np.float32), rng.integers(0, 12, 300)
    counts = score(logits, labels.astype(np.int32)).counts()
    for k, number in ((1, counts.num_top1), (5, counts.num_top5)):
        expected = metrics.top_k_accuracy_score(labels, logits, k=k, normalize=False)
        assert number == expected
    probabilities = special.softmax(logits.astype(np.float64), axis=1)
    assert counts.loss == pytest.approx(metrics.log_loss(labels, probabilities, labels=range(12)))


def test_coverage_is_the_accuracy_above_each_threshold() -> None:
    rng = np.random.default_rng(2)
    confidence = rng.integers(0, 20, 500) / 20  # many ties
    correct = rng.uniform(size=500) < confidence
    curve = accuracy_statistics.coverage(confidence, correct)
    for fraction, accuracy, threshold in zip(*curve):
        kept = confidence >= threshold
        assert fraction == kept.mean()
        assert accuracy == pytest.approx(correct[kept].mean(), abs=1e-12)
    assert curve.threshold.tolist() == sorted(set(confidence.tolist()), reverse=True)
    assert curve.fraction[-1] == 1


def test_confusions_are_counted_by_direction_most_frequent_first() -> None:
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2])
    predicted = np.array([0, 1, 1, 0, 1, 0, 1, 1, 1])
    assert accuracy_statistics.confusions(labels, predicted) == [
        (2, 1, 3),
        (0, 1, 2),
        (1, 0, 1),
        (2, 0, 1),
    ]


def test_a_faultless_network_confuses_nothing() -> None:
    assert accuracy_statistics.confusions(np.arange(5), np.arange(5)) == []


def test_class_counts_include_classes_without_images() -> None:
    labels = np.array([3, 1, 1, 1])
    counts = accuracy_statistics.class_counts(labels, np.array([True, True, False, True]), 5)
    assert counts.num_images.tolist() == [0, 3, 0, 1, 0]
    assert counts.num_correct.tolist() == [0, 2, 0, 1, 0]


def test_confusion_matrix_and_scores_by_hand() -> None:
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2])
    predicted = np.array([0, 0, 1, 1, 0, 2, 2, 2, 0])
    matrix = accuracy_statistics.confusion_matrix(labels, predicted, 5)
    expected = np.zeros((5, 5), int)
    for label, answer in zip(labels, predicted):
        expected[label, answer] += 1
    np.testing.assert_array_equal(matrix, expected)
    scores = accuracy_statistics.class_scores(matrix)
    # Class 0: 2 of the 4 answers are right, 2 of its 3 images are found.
    np.testing.assert_allclose(scores.precision, [2 / 4, 1 / 2, 3 / 3, np.nan, np.nan])
    np.testing.assert_allclose(scores.recall, [2 / 3, 1 / 2, 3 / 4, np.nan, np.nan])
    np.testing.assert_allclose(scores.f1, [4 / 7, 1 / 2, 6 / 7, np.nan, np.nan])


def test_a_class_that_is_never_right_has_an_f1_of_zero() -> None:
    scores = accuracy_statistics.class_scores(np.array([[0, 2, 0], [0, 3, 0], [0, 0, 0]]))
    np.testing.assert_allclose(scores.precision, [np.nan, 3 / 5, np.nan])
    np.testing.assert_allclose(scores.recall, [0, 1, np.nan])
    np.testing.assert_allclose(scores.f1, [0, 6 / 8, np.nan])
