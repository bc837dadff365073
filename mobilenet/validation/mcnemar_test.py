"""McNemar's test: whether two models differ on the same images by more than chance."""

from __future__ import annotations

import math
from typing import NamedTuple

# Up to this number the binomial distribution is summed. Above it the chi-square approximation is
# faster and agrees to two digits.
_MAX_EXACT_DISCORDANT = 25
_USUAL_LEVEL = 0.05


class McNemar(NamedTuple):
    """The outcome of McNemar's test."""

    p_value: float
    """Probability of a difference at least as large if both networks are equally good."""
    method: str
    """`exact` (binomial) or `chi-square` (with continuity correction)."""

    @property
    def verdict(self) -> str:
        """What the p-value means, in words, at the usual 5 %."""
        return "more than chance" if self.p_value < _USUAL_LEVEL else "may well be chance"


def mcnemar(num_only_first: int, num_only_second: int) -> McNemar:
    """McNemar's two-sided test of whether two networks differ on the same images.

    Only images that exactly one network gets right count. Up to 25 such images the test is the
    exact binomial one; above, it is chi-square with one degree of freedom and Edwards's continuity
    correction.
    Sources: Q. McNemar, Psychometrika 12 (1947); A. L. Edwards, Psychometrika 13 (1948).

    Args:
        num_only_first: Images that the first network alone gets right.
        num_only_second: Images that the second alone gets right.
    """
    discordant = num_only_first + num_only_second
    if discordant <= _MAX_EXACT_DISCORDANT:
        fewer = min(num_only_first, num_only_second)
        tail = sum(math.comb(discordant, k) for k in range(fewer + 1)) / 2**discordant
        return McNemar(min(1.0, 2 * tail), "exact")
    difference = max(abs(num_only_first - num_only_second) - 1, 0)
    return McNemar(math.erfc(math.sqrt(difference**2 / discordant / 2)), "chi-square")
