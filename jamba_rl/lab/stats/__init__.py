"""What runs say about agents, and how surely: numbers in, numbers out.

After Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice" (arXiv 2108.13264).
Runs of one task are a *stratum*: an array whose last axis are runs. Statistics take one stratum per task, and leading
axes are a batch, so that the same function gives the estimate (no batch) and its bootstrap (a batch of resamples).
"""

from jamba_rl.lab.stats.aggregate import iqm, mean
from jamba_rl.lab.stats.bootstrap import Interval, bootstrap, bootstrap_pair
from jamba_rl.lab.stats.claims import CLAIMS, Claim, Verdict, judge
from jamba_rl.lab.stats.curves import (
    area_under_curve,
    curve_band,
    final_score,
    roughness,
    steps_below,
    steps_to_reach,
)
from jamba_rl.lab.stats.deviation import deviation
from jamba_rl.lab.stats.efficiency import Reached, fewer_steps, median_steps
from jamba_rl.lab.stats.gap import gap_closed, gap_size
from jamba_rl.lab.stats.improvement import mean_difference, probability_of_improvement, relative_improvement
from jamba_rl.lab.stats.normalise import Anchors, normalise
from jamba_rl.lab.stats.permutation import Chance, permutation_test, tell
from jamba_rl.lab.stats.profiles import Profile, performance_profile
from jamba_rl.lab.stats.spread import coefficient_of_variation, spread, spread_change

__all__ = [
    "Anchors",
    "CLAIMS",
    "Chance",
    "Claim",
    "Interval",
    "Profile",
    "Reached",
    "Verdict",
    "area_under_curve",
    "bootstrap",
    "bootstrap_pair",
    "coefficient_of_variation",
    "curve_band",
    "deviation",
    "fewer_steps",
    "final_score",
    "gap_closed",
    "gap_size",
    "iqm",
    "judge",
    "mean",
    "mean_difference",
    "median_steps",
    "normalise",
    "performance_profile",
    "permutation_test",
    "probability_of_improvement",
    "relative_improvement",
    "roughness",
    "spread",
    "spread_change",
    "steps_below",
    "steps_to_reach",
    "tell",
]
