"""One number for many runs on many tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jamba_rl.lab.stats.bootstrap import Scores

TRIMMED = 0.25  # of the runs at either end


def iqm(strata: Sequence[Scores]) -> Scores:
    """Interquartile mean: of the middle half of all runs, tasks pooled.

    Less moved by outliers than the mean, and surer than the median. A quarter of n runs is rounded
    down, as in ``scipy.stats.trim_mean(scores, 0.25)`` and rliable. Where tasks have different
    numbers of runs, each task has the same weight all the same, and a quarter of the weight goes.

    >>> float(iqm([np.array([1.0, 2, 3, 100])]))
    2.5
    """
    pooled = np.concatenate(strata, axis=-1)
    counts = [runs.shape[-1] for runs in strata]
    if len(set(counts)) > 1:
        return _weighted(pooled, np.repeat([1 / (len(counts) * count) for count in counts], counts))
    ordered = np.sort(pooled, axis=-1)
    cut = int(TRIMMED * ordered.shape[-1])
    return ordered[..., cut : ordered.shape[-1] - cut].mean(axis=-1)


def _weighted(scores: Scores, weights: Scores) -> Scores:
    """Trimmed mean of scores whose weights sum to 1; of a score at the edge a part is kept."""
    order = np.argsort(scores, axis=-1, kind="stable")
    ends = np.cumsum(weights[order], axis=-1)
    kept = np.clip(ends, TRIMMED, 1 - TRIMMED) - np.clip(ends - weights[order], TRIMMED, 1 - TRIMMED)
    return (kept * np.take_along_axis(scores, order, axis=-1)).sum(axis=-1) / kept.sum(axis=-1)


def mean(strata: Sequence[Scores]) -> Scores:
    """Mean over tasks of the mean over runs.

    >>> float(mean([np.array([1.0, 3]), np.array([4.0])]))
    3.0
    """
    return np.mean([runs.mean(axis=-1) for runs in strata], axis=0)
