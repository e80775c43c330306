"""Comparisons of two agents, and what they say about expectations."""

from __future__ import annotations

import numpy as np
import pytest

from jamba_rl.lab.stats import (
    CLAIMS,
    Interval,
    Reached,
    Verdict,
    bootstrap,
    bootstrap_pair,
    coefficient_of_variation,
    fewer_steps,
    gap_closed,
    gap_size,
    judge,
    median_steps,
    relative_improvement,
    spread,
    spread_change,
)

TWO = np.array([1.0, 3.0])


def reached(after: list[float], by: list[float], budget: float = 100.0) -> Reached:
    return Reached(np.array(after), np.array(by), np.full(len(by), budget))


def test_improvement_is_measured_from_random_actions() -> None:
    assert relative_improvement([np.array([30.0])], [np.array([20.0])]) == 0.5
    assert relative_improvement([np.array([30.0]), np.array([10.0])], [np.array([20.0]), np.array([10.0])]) == 0.25
    # one that learned nothing: whoever learned something is infinitely better
    assert relative_improvement([np.array([3.0])], [np.array([-1.0])]) == np.inf
    assert relative_improvement([np.array([-3.0])], [np.array([-1.0])]) == 0.0


def test_the_median_is_infinite_if_half_of_the_runs_never_got_there() -> None:
    assert median_steps([np.array([10.0, 20, np.inf])]) == 20.0
    assert median_steps([np.array([10.0, np.inf])]) == np.inf


def test_fewer_steps_allow_for_what_happened_between_evaluations() -> None:
    ours, theirs = reached([10] * 5, [20] * 5), reached([40] * 5, [50] * 5)
    found = fewer_steps([ours], [theirs])
    assert found.value == pytest.approx(20 / 50 - 1)
    assert found.low == pytest.approx(10 / 50 - 1)
    assert found.high == pytest.approx(20 / 40 - 1)


def test_runs_that_never_got_there_count_as_their_budget_and_may_take_for_ever() -> None:
    ours, theirs = reached([100] * 5, [np.inf] * 5), reached([40] * 5, [50] * 5)
    found = fewer_steps([ours], [theirs])
    assert (found.value, found.high) == (1.0, np.inf)
    assert found.low == pytest.approx(100 / 50 - 1)
    assert fewer_steps([theirs], [ours]).low == -1.0


def test_what_is_reached_at_once_may_have_been_reached_at_any_time() -> None:
    ours, theirs = reached([0] * 5, [10] * 5), reached([10] * 5, [20] * 5)
    found = fewer_steps([ours], [theirs])
    assert found == Interval(-0.5, -1.0, 0.0)


def test_ratios_are_averaged_by_their_geometric_mean() -> None:
    wide, narrow = np.array([0.0, 8.0]), np.array([0.0, 2.0])
    assert spread_change([wide, narrow], [narrow, wide]) == pytest.approx(0.0)
    assert spread_change([wide], [narrow]) == pytest.approx(3.0)


def test_spread_is_the_sample_standard_deviation() -> None:
    assert spread([np.array([1.0, 3, 5])]) == 2.0
    assert np.isnan(spread([np.array([1.0])]))
    assert coefficient_of_variation(np.array([-1.0, -3, -5])) == pytest.approx(2 / 3)


def test_the_gap_closed_is_the_share_of_the_way_to_the_sighted() -> None:
    blind, sighted = np.array([90.0, 110]), np.array([880.0, 920])
    assert gap_size([sighted], [blind]) == 800.0
    assert gap_closed([np.array([700.0]), blind, sighted]) == 0.75
    assert gap_closed([blind, blind, sighted]) == 0.0
    assert gap_closed([np.array([1700.0]), blind, sighted, blind, blind, sighted]) == 1.0  # the mean of 2 and 0
    found = bootstrap([np.array([690.0, 710]), blind, sighted], gap_closed)
    assert found.low < 0.75 < found.high


@pytest.mark.parametrize(
    ("claim", "low", "high", "runs", "verdict"),
    [
        ("reward", 0.21, 0.5, 5, "confirmed"),
        ("reward", 0.19, 0.5, 5, "undecided"),
        ("reward", -0.3, 0.19, 5, "refuted"),
        ("steps", -0.5, -0.2, 10, "confirmed"),
        ("steps", -0.5, -0.19, 10, "undecided"),
        ("steps", -0.19, 2.0, 10, "refuted"),
        ("spread", -0.6, -0.4, 5, "confirmed"),
        ("spread", -0.3, np.inf, 5, "refuted"),
        ("reward", 0.5, 0.9, 4, "undecided"),
        ("reward", np.nan, np.nan, 9, "undecided"),
    ],
)
def test_an_expectation_is_judged_by_the_whole_interval(
    claim: str, low: float, high: float, runs: int, verdict: str
) -> None:
    assert judge(CLAIMS[claim], Interval((low + high) / 2, low, high), runs) is Verdict(verdict)


def test_comparisons_of_equals_hold_no_difference() -> None:
    found = bootstrap_pair([TWO], [TWO], relative_improvement)
    assert found.value == 0.0
    assert found.holds(0.0)
