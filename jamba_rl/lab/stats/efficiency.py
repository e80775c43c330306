"""How soon agents are good enough, though some runs never are: those are censored at the end of their training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jamba_rl.lab.stats.bootstrap import Interval, Scores, bootstrap_pair
from jamba_rl.lab.stats.ratio import average, change


@dataclass(frozen=True)
class Reached:
    """When runs reached a threshold: after the last evaluation below it, and by the first that is not.

    :ivar after: steps per run; of runs that never got there, of their last evaluation
    :ivar by: steps per run; infinite of runs that never got there
    :ivar budget: steps that every run was trained for
    """

    after: Scores
    by: Scores
    budget: Scores


def median_steps(strata: Sequence[Scores]) -> Scores:
    """Median over the runs of one task of the steps to a threshold; infinite if half of them never got there.

    With one budget for all, that is the median of Kaplan and Meier.

    >>> float(median_steps([np.array([20.0, 10, np.inf])]))
    20.0
    """
    (steps,) = strata
    return np.median(steps, axis=-1)


def fewer_steps(ours: Sequence[Reached], theirs: Sequence[Reached]) -> Interval:
    """How many more steps we need, with an interval: ratio of the medians, minus 1, averaged over tasks.

    The estimate takes runs that never got there as if they had at their end. The interval takes nothing for granted:
    its ends are those of two bootstraps, of the best case (ours just after the evaluation before, theirs at the one
    that shows it) and of the worst, where what never got there may take for ever.
    """
    value = float(_ratio([np.minimum(x.by, x.budget) for x in ours], [np.minimum(x.by, x.budget) for x in theirs]))
    best = bootstrap_pair([x.after for x in ours], [x.by for x in theirs], _ratio)
    worst = bootstrap_pair([x.by for x in ours], [x.after for x in theirs], _ratio)
    return Interval(value, best.low, worst.high)


def _ratio(ours: Sequence[Scores], theirs: Sequence[Scores]) -> Scores:
    pairs = zip(ours, theirs, strict=True)
    return average([change(np.median(a, axis=-1), np.median(b, axis=-1)) for a, b in pairs])
