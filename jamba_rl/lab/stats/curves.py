"""One number for the learning curve of one run, and a band for the curves of several."""

from __future__ import annotations

import numpy as np

from jamba_rl.lab.stats.bootstrap import ENDS, Scores
from jamba_rl.lab.stats.profiles import how_often

FINAL_SHARE = 0.1  # of a run's evaluations: the last tenth makes its final score
RESAMPLES = 2_000


def final_score(values: Scores) -> float:
    """Mean of the last tenth of evaluations, of at least one; never the best of them.

    >>> final_score(np.array([0.0] * 18 + [3.0, 5.0]))
    4.0
    """
    return float(np.mean(values[-max(1, round(len(values) * FINAL_SHARE)) :]))


def area_under_curve(steps: Scores, values: Scores) -> float:
    """Mean return over training: trapezoids between evaluations, over the steps from the first to the last.

    >>> area_under_curve(np.array([1.0, 2, 4]), np.array([0.0, 2, 4]))  # (1 + 2 * 3) / 3
    2.3333333333333335
    """
    if len(steps) == 1:
        return float(values[0])
    return float(np.trapezoid(values, steps) / (steps[-1] - steps[0]))


def steps_to_reach(steps: Scores, values: Scores, threshold: float) -> float:
    """Steps of the first evaluation at or above a threshold; infinite if training ended before one was.

    >>> steps_to_reach(np.array([1.0, 2, 3]), np.array([0.0, 5, 2]), 4)
    2.0
    """
    reached = np.flatnonzero(values >= threshold)
    return float(steps[reached[0]]) if len(reached) else np.inf


def steps_below(steps: Scores, values: Scores, threshold: float) -> float:
    """Steps of the last evaluation before that; nothing if the very first is there.

    >>> steps_below(np.array([1.0, 2, 3]), np.array([0.0, 5, 2]), 4)
    1.0
    """
    reached = np.flatnonzero(values >= threshold)
    return float(np.concatenate(([0.0], steps))[reached[0] if len(reached) else -1])


def roughness(values: Scores) -> float:
    """Spread within a run: standard deviation of one evaluation around the trend; nan of fewer than three.

    Steps from one evaluation to the next hold the noise of both and hardly any trend, so it is
    their standard deviation over the square root of 2 (von Neumann 1941; Chan et al. 2020,
    "Measuring the reliability of RL algorithms", detrend by the same differences).

    >>> roughness(np.array([0.0, 1, 2, 3]))
    0.0
    """
    return float(np.std(np.diff(values), ddof=1) / np.sqrt(2)) if len(values) > 2 else np.nan


def curve_band(values: Scores, resamples: int = RESAMPLES, seed: int = 0) -> tuple[Scores, Scores, Scores]:
    """Mean of several curves, with its pointwise interval, which is nan of a single one.

    Whole runs are resampled, not single evaluations.

    :param values: (runs, evaluations)
    """
    centre = values.mean(axis=0)
    if len(values) < 2:
        nothing = np.full(len(centre), np.nan)
        return centre, nothing, nothing
    drawn = how_often(len(values), resamples, np.random.default_rng(seed)) @ values / len(values)
    low, high = np.quantile(drawn, ENDS, axis=0)
    return centre, low, high
