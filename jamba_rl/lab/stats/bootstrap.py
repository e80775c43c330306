"""How surely a number is known: percentile bootstrap over runs, within tasks (Agarwal et al. 2021, section 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
Statistic = Callable[[Sequence[Scores]], Scores]
"""From one stratum per task, each (..., runs), to (...)."""

RESAMPLES = 10_000
ENDS = (0.025, 0.975)  # of an interval, among the resampled values


@dataclass(frozen=True)
class Interval:
    """An estimate, and where the truth lies with 95% confidence; the ends are nan where too few runs say so."""

    value: float
    low: float = nan
    high: float = nan

    @property
    def known(self) -> bool:
        """Whether there are ends; they may be infinite."""
        return not (np.isnan(self.low) or np.isnan(self.high))

    def holds(self, number: float) -> bool:
        """Whether a number cannot be told from the estimate."""
        return not self.known or self.low <= number <= self.high


def bootstrap(strata: Sequence[Scores], statistic: Statistic, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Estimate a statistic, with an interval.

    Every resample draws as many runs as there are, with replacement, from each stratum by itself: tasks are fixed, runs
    are chance. The same input gives the same output. With few runs such intervals are too narrow: of normal scores
    they hold the mean in 84% of cases with 5 runs and in 90% with 10, not in 95% (measured on 2000 draws).

    :param strata: runs of each task; where one has a single run there is no interval
    :param seed: of the resampling
    """
    strata = [np.asarray(runs, dtype=np.float64) for runs in strata]
    value = float(statistic(strata))
    if min(runs.shape[-1] for runs in strata) < 2:
        return Interval(value)
    rng = np.random.default_rng(seed)
    drawn = [runs[rng.integers(len(runs), size=(resamples, len(runs)))] for runs in strata]
    return Interval(value, *percentiles(statistic(drawn)))


def bootstrap_pair(
    ours: Sequence[Scores],
    theirs: Sequence[Scores],
    compare: Callable[[Sequence[Scores], Sequence[Scores]], Scores],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Estimate how two agents compare, with an interval: both are resampled, apart from each other.

    :param compare: from the strata of both
    """
    tasks = len(ours)
    return bootstrap([*ours, *theirs], lambda both: compare(both[:tasks], both[tasks:]), resamples, seed)


def percentiles(values: Scores) -> tuple[float, float]:
    """Ends of the interval of resampled values, which may be infinite.

    Of a value that is not a number nothing is known, so it may lie beyond either end.

    >>> percentiles(np.arange(201.0))
    (5.0, 195.0)
    """
    unknown = np.isnan(values)
    if unknown.any() and not unknown.all():
        return percentiles(np.where(unknown, -np.inf, values))[0], percentiles(np.where(unknown, np.inf, values))[1]
    # between a finite and an infinite value nothing can be interpolated
    method = "linear" if np.isfinite(values).all() else "inverted_cdf"
    low, high = np.quantile(values, ENDS, method=method)  # type: ignore[call-overload]
    return float(low), float(high)
