"""What one curve is reduced to."""

from __future__ import annotations

import numpy as np
import pytest

from jamba_rl.lab.stats import area_under_curve, curve_band, final_score, roughness, steps_below, steps_to_reach

STEPS = np.array([10.0, 20, 30, 40])


def test_the_final_score_is_the_mean_of_the_last_tenth_never_the_best() -> None:
    assert final_score(np.array([99.0] * 18 + [1.0, 3.0])) == 2.0
    assert final_score(np.array([99.0, 1.0])) == 1.0  # of at least one


def test_the_area_is_the_mean_height() -> None:
    assert area_under_curve(STEPS, np.full(4, 7.0)) == 7.0
    assert area_under_curve(STEPS, np.array([0.0, 10, 20, 30])) == 15.0
    assert area_under_curve(np.array([0.0, 10, 40]), np.array([0.0, 0, 8])) == 3.0  # uneven steps count by their length
    assert area_under_curve(np.array([5.0]), np.array([3.0])) == 3.0


def test_steps_to_a_threshold_are_those_of_the_first_evaluation_there() -> None:
    values = np.array([0.0, 5, 2, 9])
    assert steps_to_reach(STEPS, values, 5) == 20.0
    assert steps_below(STEPS, values, 5) == 10.0
    assert steps_to_reach(STEPS, values, 10) == np.inf
    assert steps_below(STEPS, values, 10) == 40.0
    assert (steps_below(STEPS, values, 0), steps_to_reach(STEPS, values, 0)) == (0.0, 10.0)


def test_roughness_is_what_trend_does_not_explain() -> None:
    assert roughness(np.arange(9.0)) == 0.0
    assert np.isnan(roughness(np.array([1.0, 2.0])))
    noise = np.random.default_rng(0).normal(scale=3.0, size=5000)
    assert roughness(noise) == pytest.approx(3.0, rel=0.05)
    assert roughness(noise + np.linspace(0, 100, 5000)) == pytest.approx(3.0, rel=0.05)


def test_a_band_holds_the_mean_and_a_single_curve_has_none() -> None:
    curves = np.array([[0.0, 1, 2], [2.0, 3, 4]])
    centre, low, high = curve_band(curves)
    assert centre.tolist() == [1.0, 2.0, 3.0]
    assert (low.tolist(), high.tolist()) == ([0.0, 1.0, 2.0], [2.0, 3.0, 4.0])
    assert np.isnan(curve_band(curves[:1])[1]).all()
