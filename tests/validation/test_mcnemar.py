"""McNemar's test against SciPy's distributions."""

import pytest
from scipy import stats

from mobilenet.validation.mcnemar_test import mcnemar


@pytest.mark.parametrize("first, second", [(0, 0), (1, 0), (0, 5), (12, 13), (3, 22), (25, 0)])
def test_mcnemar_is_the_binomial_test_up_to_25(first: int, second: int) -> None:
    expected = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    result = mcnemar(first, second)
    assert result.method == "exact"
    assert result.p_value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("first, second", [(26, 0), (13, 13), (14, 13), (1200, 1100), (400, 900)])
def test_mcnemar_is_the_corrected_chi_square_above_25(first: int, second: int) -> None:
    statistic = max(abs(first - second) - 1, 0) ** 2 / (first + second)
    result = mcnemar(first, second)
    assert result.method == "chi-square"
    assert result.p_value == pytest.approx(stats.chi2.sf(statistic, 1), rel=1e-9)


def test_mcnemars_two_rules_agree_where_they_meet() -> None:
    exact = stats.binomtest(8, 26).pvalue
    assert mcnemar(8, 18).p_value == pytest.approx(exact, rel=0.05)


def test_mcnemar_does_not_care_which_network_is_first() -> None:
    assert mcnemar(3, 11) == mcnemar(11, 3)
    assert mcnemar(30, 110) == mcnemar(110, 30)
