"""Intervals are those of hand-worked cases, seeded, and honest about what they cannot know."""

from __future__ import annotations

import numpy as np
import pytest

from jamba_rl.lab.stats import Interval, bootstrap, bootstrap_pair, iqm, mean


def test_the_interval_of_two_runs_is_exact() -> None:
    # resamples of (0, 1) have means 0, 1/2, 1 with chances 1/4, 1/2, 1/4
    assert bootstrap([np.array([0.0, 1.0])], mean) == Interval(0.5, 0.0, 1.0)


def test_runs_are_resampled_within_their_task() -> None:
    # pooled, a resample could hold runs of one task alone; within tasks the mean of means never moves
    found = bootstrap([np.array([1.0, 1.0]), np.array([9.0, 9.0])], mean)
    assert found == Interval(5.0, 5.0, 5.0)


def test_two_agents_are_resampled_apart() -> None:
    found = bootstrap_pair([np.array([0.0, 1.0])], [np.array([0.0, 1.0])], lambda a, b: mean(a) - mean(b))
    # P(difference = 1) = 1/16 > 2.5%
    assert found == Interval(0.0, -1.0, 1.0)


def test_the_same_input_gives_the_same_output_whatever_was_drawn_before() -> None:
    runs = [np.random.default_rng(1).normal(size=7)]
    first = bootstrap(runs, iqm)
    np.random.seed(5)  # noqa: NPY002
    assert bootstrap(runs, iqm) == first
    assert bootstrap(runs, iqm, seed=1) != first


def test_one_run_has_no_interval() -> None:
    found = bootstrap([np.array([1.0, 2.0]), np.array([3.0])], mean)
    assert found.value == 2.25
    assert not found.known
    assert found.holds(1e9)


def test_infinite_values_have_ends_all_the_same() -> None:
    found = bootstrap([np.array([1.0, 2.0, np.inf])], lambda strata: np.median(strata[0], axis=-1))
    assert (found.value, found.low, found.high) == (2.0, 1.0, np.inf)


@pytest.mark.parametrize(("runs", "low", "high"), [(5, 0.78, 0.90), (10, 0.85, 0.95)])
def test_few_runs_make_intervals_too_narrow_by_as_much_as_is_said(runs: int, low: float, high: float) -> None:
    rng = np.random.default_rng(0)
    held = [bootstrap([rng.normal(size=runs)], mean, resamples=400).holds(0) for _ in range(500)]
    assert low < np.mean(held) < high
