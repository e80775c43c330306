"""How surely a standard deviation is known from a few runs."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from jamba_rl.lab.stats.bootstrap import ENDS, Interval, Scores
from jamba_rl.lab.stats.spread import spread

DRAWS = 1_000_000  # of the chi-square distribution: the interval is then right to a hundredth


def deviation(runs: Scores) -> Interval:
    """Standard deviation of the runs of one task, with its 95% interval if they are normal; nan of one run.

    (n - 1) s^2 / sigma^2 has a chi-square distribution. A bootstrap would not do: from 5 runs it holds the deviation in
    65% of cases, from 2 in 32%.

    >>> found = deviation(np.array([1.0, 3, 5, 7, 9]))
    >>> [round(end, 1) for end in (found.value, found.low, found.high)]
    [3.2, 1.9, 9.1]
    """
    value = float(spread([runs]))
    if len(runs) < 2:
        return Interval(value)
    low, high = (value * float(np.sqrt((len(runs) - 1) / end)) for end in reversed(_chi_square(len(runs) - 1)))
    return Interval(value, low, high)


@lru_cache
def _chi_square(freedom: int) -> tuple[float, float]:
    """Where 95% of the distribution lie, drawn from a fixed seed."""
    low, high = np.quantile(np.random.default_rng(0).chisquare(freedom, DRAWS), ENDS)
    return float(low), float(high)
