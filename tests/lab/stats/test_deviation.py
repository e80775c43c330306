"""The interval of a standard deviation holds it as often as it says."""

from __future__ import annotations

import numpy as np
import pytest

from jamba_rl.lab.stats import deviation


# percentiles of the chi-square distribution, from a table: 2.5% and 97.5%
@pytest.mark.parametrize(("runs", "low", "high"), [(2, 0.000982, 5.024), (5, 0.4844, 11.143), (10, 2.7004, 19.023)])
def test_its_ends_are_those_of_chi_square(runs: int, low: float, high: float) -> None:
    scores = np.random.default_rng(1).normal(size=runs)
    found = deviation(scores)
    assert found.value == pytest.approx(scores.std(ddof=1))
    assert found.low == pytest.approx(found.value * np.sqrt((runs - 1) / high), rel=0.01)
    assert found.high == pytest.approx(found.value * np.sqrt((runs - 1) / low), rel=0.01)


@pytest.mark.parametrize("runs", [2, 3, 5, 10])
def test_it_holds_the_deviation_of_normal_scores_in_95_cases_of_100(runs: int) -> None:
    draws = np.random.default_rng(0).normal(scale=3.0, size=(2_000, runs))
    held = np.mean([deviation(scores).holds(3.0) for scores in draws])
    assert held == pytest.approx(0.95, abs=0.015)


def test_of_one_run_nothing_is_known() -> None:
    assert np.isnan(deviation(np.array([1.0])).value)
    assert not deviation(np.array([1.0])).known
