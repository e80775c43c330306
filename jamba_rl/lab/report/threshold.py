"""The score of a task that counts as good enough, for all its agents alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan
from statistics import fmean

from jamba_rl.lab.report.order import FRAMES, MEMORYLESS, SIMPLE, in_order, kind
from jamba_rl.lab.report.runs import Run
from jamba_rl.lab.stats import Anchors, normalise

SHARE = 0.9
NOWHERE = 0.1  # of the way to the reference
BASELINES = (*SIMPLE, FRAMES, MEMORYLESS)


@dataclass(frozen=True)
class Threshold:
    """Where the way to a good score begins, the score, and in words how it was chosen; nan, and why there is none."""

    start: float
    score: float
    words: str

    @property
    def known(self) -> bool:
        """Whether there is one."""
        return not isnan(self.score)


def threshold_of(runs: Sequence[Run], anchors: Anchors) -> Threshold:
    """Nine tenths of the way from random actions to a good score.

    That is the task's reference where an agent gets so far, or where the baseline gets nowhere or is all there is;
    elsewhere the final score of the baseline: the simple SSM; without one the frame-stacked MLP, then the MLP, then the
    agent that scores least. Where nobody knows what random actions get, the way begins at the mean of all first
    evaluations.

    :param runs: all of one env
    """
    means = _means(runs)
    baseline = _baseline(means)
    start, where = anchors.random, "random actions"
    if start is None:
        start, where = fmean(run.returns[0] for run in runs), "the first evaluations"
    if _takes_reference(means, baseline, anchors):
        assert anchors.reference is not None
        whose = f" ({anchors.source})" if anchors.source else ""
        words = f"90% of the way from {where} to the reference{whose}"
        return Threshold(start, on_the_way(start, anchors.reference), words)
    if len(means) == 1:
        return Threshold(start, nan, f"none: `{baseline}` was run alone, and no reference is known")
    if means[baseline] <= start:
        return Threshold(start, nan, f"none: `{baseline}` gets no more than {where}, and no reference is known")
    words = f"90% of the way from {where} to the final score of `{baseline}`"
    return Threshold(start, on_the_way(start, means[baseline]), words)


def _takes_reference(means: Mapping[str, float], baseline: str, anchors: Anchors) -> bool:
    if not anchors.whole:
        return False
    best, least = (float(normalise(score, anchors)) for score in (max(means.values()), means[baseline]))
    return len(means) == 1 or best >= SHARE or least < NOWHERE


def _means(runs: Sequence[Run]) -> dict[str, float]:
    """Mean final score of every agent."""
    finals: dict[str, list[float]] = {}
    for run in runs:
        finals.setdefault(run.agent.name, []).append(run.final)
    return {agent: fmean(values) for agent, values in finals.items()}


def _baseline(means: dict[str, float]) -> str:
    ranked = [agent for each in BASELINES for agent in in_order(means) if kind(agent) == each]
    return ranked[0] if ranked else min(means, key=lambda agent: means[agent])


def on_the_way(start: float, end: float) -> float:
    """Nine tenths of the way between two scores.

    >>> on_the_way(-1200.0, -200.0)
    -300.0
    """
    return start + SHARE * (end - start)
