"""Ratios whose denominator may be nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jamba_rl.lab.stats.bootstrap import Scores


def change(ours: Scores, theirs: Scores) -> Scores:
    """Ratio minus 1; where theirs is nothing, ours is infinitely more if it is something, and else the same.

    >>> change(np.array([3.0, 1, -1]), np.array([2.0, 0, 0]))
    array([0.5, inf, 0. ])
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(theirs > 0, ours / theirs, np.where(ours > 0, np.inf, 1.0)) - 1


def average(changes: Sequence[Scores]) -> Scores:
    """Average of changes of quantities that are positive: by the geometric mean of their ratios.

    So that half as much on one task and twice as much on another are no change.

    >>> float(average([np.array(1.0), np.array(-0.5)]))
    0.0
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.expm1(np.mean(np.log1p(changes), axis=0))
