"""How one agent compares with another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jamba_rl.lab.stats.aggregate import mean
from jamba_rl.lab.stats.bootstrap import Scores
from jamba_rl.lab.stats.ratio import change


def mean_difference(ours: Sequence[Scores], theirs: Sequence[Scores]) -> Scores:
    """Mean score of ours minus mean score of theirs, averaged over tasks.

    >>> float(mean_difference([np.array([3.0, 5])], [np.array([1.0])]))
    3.0
    """
    return mean(ours) - mean(theirs)


def probability_of_improvement(ours: Sequence[Scores], theirs: Sequence[Scores]) -> Scores:
    """Chance that a run of ours scores more than one of theirs on the same task, averaged over tasks.

    Ties count half: Mann-Whitney's U over the number of pairs (Agarwal et al. 2021, section 4.3).

    >>> float(probability_of_improvement([np.array([1.0, 3])], [np.array([1.0, 2])]))
    0.625
    """
    return np.mean([_chance(a, b) for a, b in zip(ours, theirs, strict=True)], axis=0)


def _chance(ours: Scores, theirs: Scores) -> Scores:
    difference = ours[..., :, None] - theirs[..., None, :]
    return ((difference > 0) + 0.5 * (difference == 0)).mean(axis=(-2, -1))


def relative_improvement(ours: Sequence[Scores], theirs: Sequence[Scores]) -> Scores:
    """How much more of what random actions do not get: mean score of ours over mean score of theirs, minus 1.

    Averaged over tasks. A ratio means nothing where the zero is arbitrary, as in returns that are
    negative, so both are measured from random actions.

    :param ours: scores minus that of random actions

    >>> float(relative_improvement([np.array([3.0, 6])], [np.array([2.0, 4])]))
    0.5
    """
    return np.mean([change(a.mean(axis=-1), b.mean(axis=-1)) for a, b in zip(ours, theirs, strict=True)], axis=0)
