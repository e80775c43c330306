"""A difference is told from chance no more often than it should be."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from jamba_rl.lab.stats import Chance, iqm, mean_difference, permutation_test, probability_of_improvement, tell


def edge(ours: list[NDArray], theirs: list[NDArray]) -> NDArray:
    return probability_of_improvement(ours, theirs) - 0.5


def iqm_difference(ours: list[NDArray], theirs: list[NDArray]) -> NDArray:
    return iqm(ours) - iqm(theirs)


def test_all_ways_to_deal_out_the_runs_are_counted() -> None:
    # of the 20 ways to choose 3 out of 6, the real one and its mirror image differ most
    low, high = np.array([1.0, 2, 3]), np.array([11.0, 12, 13])
    assert permutation_test([high], [low], mean_difference) == 2 / 20
    assert permutation_test([low], [high], mean_difference) == 2 / 20
    # two tasks: each is dealt out by itself, so that there are 20 * 20 ways
    assert permutation_test([high, high], [low, low], mean_difference) == 2 / 400


def test_equals_differ_in_every_way_as_much() -> None:
    same = np.ones(5)
    assert permutation_test([same], [same], mean_difference) == 1.0


def test_runs_of_one_task_are_never_dealt_out_to_another() -> None:
    """Tasks far apart hide nothing: only what differs within them counts."""
    easy, hard = np.array([1000.0, 1001, 1002]), np.array([0.0, 1, 2])
    assert permutation_test([easy + 10, hard + 10], [easy, hard], mean_difference) == 2 / 400


def test_draws_come_near_the_exact_share_and_are_seeded() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 6))
    exact = permutation_test([a], [b + 0.8], mean_difference)  # 924 ways
    drawn = permutation_test([a], [b + 0.8], mean_difference, draws=900)
    assert drawn == pytest.approx(exact, abs=0.05)
    assert drawn == permutation_test([a], [b + 0.8], mean_difference, draws=900)


@pytest.mark.parametrize("difference", [mean_difference, iqm_difference, edge])
def test_equals_are_told_apart_in_no_more_than_one_case_of_twenty(difference) -> None:
    """With a long tail too: scores are exponential."""
    rng = np.random.default_rng(0)
    draws = rng.exponential(size=(400, 2, 5))
    told = sum(tell([ours], [theirs], difference) is Chance.NO for ours, theirs in draws)
    assert told / len(draws) < 0.05 + 2 * np.sqrt(0.05 * 0.95 / len(draws))


def test_what_is_better_by_two_deviations_is_mostly_told() -> None:
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(100, 2, 5))
    told = sum(tell([ours + 2], [theirs], mean_difference) is Chance.NO for ours, theirs in draws)
    assert told > 70


@pytest.mark.parametrize(("runs", "told"), [(1, Chance.UNKNOWN), (4, Chance.UNKNOWN), (5, Chance.NO)])
def test_fewer_than_five_seeds_a_side_tell_nothing(runs: int, told: Chance) -> None:
    ours, theirs = np.arange(runs) + 100.0, np.arange(5.0)
    assert tell([ours], [theirs], mean_difference) is told
    assert tell([theirs], [ours], mean_difference) is told
