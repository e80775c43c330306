"""Aggregates have the values that were worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from jamba_rl.lab.stats import Anchors, iqm, mean, normalise, performance_profile, probability_of_improvement


def test_the_interquartile_mean_is_that_of_the_middle_half() -> None:
    assert iqm([np.arange(1.0, 9.0)]) == 4.5  # of 3, 4, 5, 6
    assert iqm([np.array([7.0, 1, 100, 2, 3])]) == 4.0  # a quarter of 5 is 1: of 2, 3, 7


def test_tasks_are_pooled() -> None:
    assert iqm([np.array([0.0, 1, 2, 3]), np.array([10.0, 11, 12, 13])]) == 6.5  # of 2, 3, 10, 11


def test_tasks_weigh_the_same_however_many_runs_they_have() -> None:
    # half of the weight is 0 and half is 1; by runs alone it would be 1/4
    assert iqm([np.zeros(4), np.ones(2)]) == 0.5
    few, many = np.array([1.0, 5]), np.array([0.0, 2, 3, 9])
    assert iqm([few, many]) == pytest.approx(iqm([np.repeat(few, 2), many]))
    profile = performance_profile([np.zeros(4), np.ones(2)], np.array([0.5]))
    assert profile.share == [0.5]


def test_a_batch_of_resamples_has_one_value_each() -> None:
    batch = np.array([[1.0, 2, 3, 4], [5.0, 5, 5, 5]])
    assert iqm([batch]).tolist() == [2.5, 5.0]
    assert mean([batch, batch + 1]).tolist() == [3.0, 5.5]
    assert iqm([batch, batch[:, :2]]).tolist() == [1.75, 5.0]  # half of 1s and 2s by weight: 1/8 of 1, 3/8 of 2


@pytest.mark.parametrize(
    ("ours", "theirs", "chance"),
    [
        ([1, 3], [1, 2], 0.625),  # of four pairs two are won and one is even
        ([5, 6], [1, 2], 1.0),
        ([1, 2], [1, 2], 0.5),
        ([3], [1, 5, 3], 0.5),
    ],
)
def test_the_probability_of_improvement_is_that_of_all_pairs(ours: list, theirs: list, chance: float) -> None:
    found = probability_of_improvement([np.array(ours, float)], [np.array(theirs, float)])
    assert found == chance
    assert probability_of_improvement([np.array(theirs, float)], [np.array(ours, float)]) == 1 - chance


def test_the_probability_of_improvement_is_the_mean_over_tasks() -> None:
    tasks = [np.array([5.0, 6]), np.array([1.0, 2])]
    assert probability_of_improvement(tasks, tasks[::-1]) == 0.5


def test_a_profile_is_the_share_of_runs_above() -> None:
    profile = performance_profile([np.array([0.1, 0.5, 0.9, 1.0])], np.array([0.0, 0.5, 0.95, 2.0]))
    assert profile.share.tolist() == [1.0, 0.5, 0.25, 0.0]
    assert (profile.low <= profile.share).all()
    assert (profile.high >= profile.share).all()
    assert profile.low[0] == profile.high[0] == 1.0


def test_a_profile_of_one_run_has_no_band() -> None:
    assert np.isnan(performance_profile([np.array([1.0])], np.array([0.0])).low).all()


def test_scores_are_normalised_from_random_to_reference() -> None:
    anchors = Anchors(random=-1230.0, reference=-157.0)
    assert normalise(-1230.0, anchors) == 0.0
    assert normalise(-157.0, anchors) == 1.0
    assert normalise(np.array([916.0]), anchors).tolist() == [2.0]
    assert not Anchors(random=1.0).whole
    assert not Anchors(random=1.0, reference=1.0).whole
