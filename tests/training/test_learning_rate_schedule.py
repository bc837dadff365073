"""Every schedule against its closed formula, at every step."""

from __future__ import annotations

import math

import pytest

from mobilenet.training.learning_rate_schedule import (
    Schedule,
    Shape,
    Span,
    constant,
    cosine,
    exponential,
    polynomial,
    scaled_rate,
    steps,
)

PEAK = 0.4
WARMUP, TOTAL = 50, 1000


def rates(schedule: Schedule) -> list[float]:
    return [schedule(step) for step in range(TOTAL)]


def warmed(step: int) -> float:
    return (step + 1) / WARMUP if step < WARMUP else 1.0


def test_cosine() -> None:
    final = 0.01
    found = rates(Schedule(PEAK, cosine(Span(WARMUP, TOTAL), final / PEAK), WARMUP))
    for step, rate in enumerate(found):
        angle = math.pi * (step - WARMUP) / (TOTAL - WARMUP)
        fallen = final + 0.5 * (PEAK - final) * (1 + math.cos(angle))
        assert rate == pytest.approx(PEAK * warmed(step) if step < WARMUP else fallen, rel=1e-12)


def test_polynomial() -> None:
    final, power = 0.02, 2.0
    found = rates(Schedule(PEAK, polynomial(Span(WARMUP, TOTAL), final / PEAK, power), WARMUP))
    for step, rate in enumerate(found):
        fallen = (PEAK - final) * ((TOTAL - step) / (TOTAL - WARMUP)) ** power + final
        assert rate == pytest.approx(PEAK * warmed(step) if step < WARMUP else fallen, rel=1e-12)


def test_steps() -> None:
    found = rates(Schedule(PEAK, steps((300, 600, 900), 0.1), WARMUP))
    for step, rate in enumerate(found):
        passed = (step >= 300) + (step >= 600) + (step >= 900)
        assert rate == pytest.approx(PEAK * warmed(step) * 0.1**passed, rel=1e-12)


def test_exponential_falls_at_the_step_that_is_meant() -> None:
    staircase = exponential(1.1 * 10, 0.5)  # a little more than 11
    assert [staircase(step) for step in (10, 11, 21, 22)] == [1.0, 0.5, 0.5, 0.25]


def test_exponential_is_the_origin_s_staircase() -> None:
    steps_per_epoch = 37
    found = rates(Schedule(0.045, exponential(steps_per_epoch, 0.98)))
    expected = 0.045
    for step, rate in enumerate(found):
        if step and step % steps_per_epoch == 0:  # the origin multiplies at the start of an epoch
            expected *= 0.98
        assert rate == pytest.approx(expected, rel=1e-12)


def test_constant_with_warmup() -> None:
    assert rates(Schedule(PEAK, constant(), WARMUP)) == [PEAK * warmed(s) for s in range(TOTAL)]


def test_warmup_rises_in_equal_parts_to_the_peak() -> None:
    found = rates(Schedule(PEAK, constant(), WARMUP))
    assert found[0] == pytest.approx(PEAK / WARMUP)
    assert found[WARMUP - 1] == found[WARMUP] == PEAK


@pytest.mark.parametrize("shape", [cosine(Span(7, 7), 0.0), polynomial(Span(7, 7), 0.0, 1.0)])
def test_a_warmup_of_all_steps(shape: Shape) -> None:
    found = [Schedule(PEAK, shape, 7)(step) for step in range(7)]
    assert found == pytest.approx([PEAK * (step + 1) / 7 for step in range(7)])


def test_warmup_may_begin_above_zero() -> None:
    found = rates(Schedule(PEAK, cosine(Span(WARMUP, TOTAL), 0.0), WARMUP, initial=0.1))
    for step in range(WARMUP):
        assert found[step] == pytest.approx(0.1 + (PEAK - 0.1) * (step + 1) / WARMUP, rel=1e-12)
    assert found[WARMUP:] == rates(Schedule(PEAK, cosine(Span(WARMUP, TOTAL), 0.0)))[WARMUP:]


def test_without_warmup_the_first_step_has_the_peak() -> None:
    assert Schedule(PEAK, cosine(Span(0, TOTAL), 0.0))(0) == PEAK


def test_falling_schedules_stay_at_their_end() -> None:
    schedule = Schedule(PEAK, cosine(Span(0, 10), 0.25))
    assert schedule(10) == schedule(1000) == pytest.approx(PEAK / 4)


def test_rate_scales_with_the_batch_only_if_a_reference_is_given() -> None:
    assert scaled_rate(0.05, 1024, 256) == pytest.approx(0.2)
    assert scaled_rate(0.05, 1024, None) == 0.05
