"""What is expected of a validation, and when it is missed."""

import pytest

from mobilenet.errors import ConfigError, VerificationError
from mobilenet.metrics import Counts
from mobilenet.validation.accuracy_gate import Expectation, parse

COUNTS = Counts(num_images=50000, num_top1=35470, num_top5=44995, loss_sum=1.0)  # 70.94, 89.99 %


def test_both_accuracies_are_read() -> None:
    assert parse(["top1=0.7094", "top5=.8999"], 0.01) == Expectation(0.7094, 0.8999, 0.01)
    assert parse(["top1=1"], 0) == Expectation(1.0, None, 0)
    assert parse(["top5=0.0"], 0) == Expectation(None, 0.0, 0)


@pytest.mark.parametrize(
    "texts, tolerance, message",
    [
        (["top1=70.94"], 0.01, "'top1=70.94' is no expected accuracy"),
        (["top1=1.5"], 0.01, "is no expected accuracy"),
        (["top2=0.5"], 0.01, "is no expected accuracy"),
        (["top1"], 0.01, "is no expected accuracy"),
        (["top1=0.5", "top1=0.6"], 0.01, "top1 is expected twice"),
        (["top1=0.5"], 1.0, "tolerance 1 is not a fraction"),
        (["top1=0.5"], -0.1, "not a fraction"),
        (["top1=0.5"], float("nan"), "not a fraction"),
    ],
)
def test_other_forms_are_mistakes(texts: list[str], tolerance: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(texts, tolerance)


@pytest.mark.parametrize(
    "expectation",
    [
        Expectation(0.7094, 0.8999),
        Expectation(0.7194, None, 0.01),  # 0.7194 - 0.01 is a little above 0.7094 in binary
        Expectation(None, 0.9099, 0.01),
        Expectation(0.1, 0.2),
    ],
)
def test_an_accuracy_within_the_tolerance_is_reached(expectation: Expectation) -> None:
    assert expectation.check(COUNTS).startswith("as expected: top-")


@pytest.mark.parametrize(
    "expectation, message",
    [
        (Expectation(0.70942), "top-1 70.94%, expected 70.94%"),  # by a single image
        (Expectation(0.7196, None, 0.01), "top-1 70.94%, expected 71.96% less 1.00%"),
        (Expectation(0.5, 0.9), "top-5 89.99%, expected 90.00%"),
    ],
)
def test_an_accuracy_below_is_the_answer_no(expectation: Expectation, message: str) -> None:
    with pytest.raises(VerificationError, match=message):
        expectation.check(COUNTS)
