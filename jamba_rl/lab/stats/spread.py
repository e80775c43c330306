"""How much the runs of an agent differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jamba_rl.lab.stats.bootstrap import Scores
from jamba_rl.lab.stats.ratio import average, change


def spread(strata: Sequence[Scores]) -> Scores:
    """Standard deviation over the runs of one task (n - 1); nan of one run.

    >>> float(spread([np.array([1.0, 3, 5])])), float(spread([np.array([0.1, 0.1, 0.1])]))
    (2.0, 0.0)
    """
    (runs,) = strata
    if runs.shape[-1] == 1:
        return np.full(runs.shape[:-1], np.nan)
    # their mean may be rounded, and a tiny spread is no divisor
    return np.where(np.ptp(runs, axis=-1) == 0, 0.0, np.std(runs, axis=-1, ddof=1))


def coefficient_of_variation(runs: Scores) -> float:
    """Standard deviation over the size of the mean; nan of one run.

    >>> coefficient_of_variation(np.array([-1.0, -3, -5])).__round__(4)
    0.6667
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(spread([runs]) / np.abs(runs.mean()))


def spread_change(ours: Sequence[Scores], theirs: Sequence[Scores]) -> Scores:
    """How much more our runs differ: ratio of the standard deviations, minus 1, averaged over tasks.

    A resample may have no spread: see `change` for what that counts as.

    >>> float(spread_change([np.array([1.0, 3, 5])], [np.array([1.0, 5, 9])]))
    -0.5
    """
    return average([change(spread([a]), spread([b])) for a, b in zip(ours, theirs, strict=True)])
