"""Our statistics are those of rliable, by the authors of "Deep RL at the edge of the statistical precipice".

What rliable 1.2.0 says about these scores is written down here, since it cannot be run beside pandas 3: the bootstrap
that it builds on, arch, cannot be imported there up to 7.2, and from 8 on takes no argument that rliable passes. Where
it can, it is asked again: ``pip install rliable "arch<8" "pandas<3"``
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from jamba_rl.lab.stats import Interval, bootstrap, bootstrap_pair, iqm, performance_profile, probability_of_improvement

SCORES = {name: np.random.default_rng(seed).gamma(2.0 + seed, size=(10, 4)) for seed, name in enumerate("ab")}
STRATA = {name: list(scores.T) for name, scores in SCORES.items()}  # rliable's scores are (runs, tasks)
THRESHOLDS = np.array([0.5, 1.0, 2.0, 4.0])

# of 50,000 resamples for the first and 10,000 for the others
IQM = {
    "a": Interval(1.684544349694751, 1.322826757347449, 2.1536395630286473),
    "b": Interval(2.493695416492275, 2.1443893012908832, 2.892980727162346),
}
IMPROVEMENT = Interval(0.315, 0.195, 0.44)
SHARES = {"a": [0.95, 0.7, 0.4, 0.125], "b": [1.0, 0.95, 0.625, 0.175]}
BANDS = {
    "a": [[0.875, 0.55, 0.25, 0.025], [1.0, 0.825, 0.55, 0.225]],
    "b": [[1.0, 0.875, 0.475, 0.075], [1.0, 1.0, 0.775, 0.3]],
}


def check(ours: Interval, theirs: Interval, share: float) -> None:
    """The estimates are equal; the ends are drawn, and differ by less than a share of the width."""
    assert ours.value == pytest.approx(theirs.value, rel=1e-12)
    width = theirs.high - theirs.low
    assert [ours.low, ours.high] == pytest.approx([theirs.low, theirs.high], abs=share * width)


@pytest.mark.parametrize("agent", ["a", "b"])
def test_the_interquartile_mean_and_its_interval(agent: str) -> None:
    check(bootstrap(STRATA[agent], iqm), IQM[agent], 0.03)


def test_the_probability_of_improvement_and_its_interval() -> None:
    check(bootstrap_pair(STRATA["a"], STRATA["b"], probability_of_improvement), IMPROVEMENT, 0.05)


@pytest.mark.parametrize("agent", ["a", "b"])
def test_profiles_and_their_bands(agent: str) -> None:
    profile = performance_profile(STRATA[agent], THRESHOLDS)
    np.testing.assert_allclose(profile.share, SHARES[agent], atol=1e-12)
    np.testing.assert_allclose([profile.low, profile.high], BANDS[agent], atol=0.03)  # a run more or less in 40


@pytest.fixture
def rliable() -> tuple[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it imports is older than what it runs on
        try:
            from rliable import library, metrics  # type: ignore[import-not-found]
        except Exception as error:
            pytest.skip(f"rliable cannot be imported here: {error}")
    return library, metrics


def test_rliable_itself_says_what_is_written_down(rliable: tuple[Any, Any]) -> None:
    library, metrics = rliable
    found, ends = library.get_interval_estimates(SCORES, lambda x: np.array([metrics.aggregate_iqm(x)]), reps=5_000)
    for agent, said in IQM.items():
        check(Interval(found[agent][0], *ends[agent].ravel()), said, 0.06)
    pair = {"a,b": (SCORES["a"], SCORES["b"])}
    chance, ends = library.get_interval_estimates(pair, metrics.probability_of_improvement, reps=2_000)
    check(Interval(float(chance["a,b"]), *np.ravel(ends["a,b"])), IMPROVEMENT, 0.08)
    shares, _ = library.create_performance_profile(SCORES, THRESHOLDS, reps=100)
    assert {agent: share.tolist() for agent, share in shares.items()} == SHARES
