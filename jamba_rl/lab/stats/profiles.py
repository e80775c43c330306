"""How many runs are how good (Agarwal et al. 2021, section 4.2; Dolan and Moré 2002)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jamba_rl.lab.stats.bootstrap import ENDS, Scores

RESAMPLES = 2_000


@dataclass(frozen=True)
class Profile:
    """Share of runs that score more than each threshold, with its pointwise interval; nan where runs are too few."""

    thresholds: Scores
    share: Scores
    low: Scores
    high: Scores


def performance_profile(
    strata: Sequence[Scores], thresholds: Scores, resamples: int = RESAMPLES, seed: int = 0
) -> Profile:
    """Share of runs above every threshold, averaged over tasks.

    Resampled within tasks, as the bootstrap of a number is.

    :param strata: normalised scores of each task
    :param thresholds: ascending
    """
    above = [(np.asarray(runs)[:, None] > thresholds).astype(np.float64) for runs in strata]  # (runs, thresholds) each
    share = np.mean([runs.mean(axis=0) for runs in above], axis=0)
    if min(len(runs) for runs in above) < 2:
        nothing = np.full(len(thresholds), np.nan)
        return Profile(thresholds, share, nothing, nothing)
    rng = np.random.default_rng(seed)
    drawn = np.mean([how_often(len(runs), resamples, rng) @ runs / len(runs) for runs in above], axis=0)
    low, high = np.quantile(drawn, ENDS, axis=0)
    return Profile(thresholds, share, low, high)


def how_often(runs: int, resamples: int, rng: np.random.Generator) -> Scores:
    """How often each run is in each resample: (resamples, runs)."""
    return rng.multinomial(runs, np.full(runs, 1 / runs), size=resamples).astype(np.float64)
