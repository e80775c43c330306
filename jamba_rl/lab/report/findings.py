"""What became of what a Jamba was expected to gain over a simple state space model: measured and judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jamba_rl.lab.report.numbers import percent_estimate, plural
from jamba_rl.lab.report.order import OURS, SIMPLE
from jamba_rl.lab.report.study import Study
from jamba_rl.lab.report.threshold import on_the_way
from jamba_rl.lab.stats import (
    CLAIMS,
    Claim,
    Interval,
    Reached,
    Verdict,
    bootstrap_pair,
    fewer_steps,
    judge,
    relative_improvement,
    spread_change,
    steps_below,
    steps_to_reach,
)


@dataclass(frozen=True)
class Finding:
    """What came of one expectation.

    :ivar where: a task, or all of them
    :ivar runs: of the agent that has fewer
    :ivar left_out: how many of all tasks say nothing about it
    :ivar reason: why there is no number
    """

    where: str
    ours: str
    theirs: str
    claim: Claim
    change: Interval
    runs: int
    left_out: int = 0
    reason: str = ""

    @property
    def verdict(self) -> Verdict:
        """What it says."""
        return judge(self.claim, self.change, self.runs)

    @property
    def words(self) -> str:
        """The number with its interval, or why there is none."""
        return self.reason or f"{percent_estimate(self.change, '+')}{self.without}"

    @property
    def without(self) -> str:
        """What it leaves out, to be said behind the number."""
        return f" without {plural(self.left_out, 'task')}" if self.left_out else ""

    def __str__(self) -> str:
        return (
            f"{self.where}: {self.ours} against {self.theirs}, {self.claim.name} {self.words}, "
            f"expected {self.claim.words}: {self.verdict} at {plural(self.runs, 'seed')}"
        )


@dataclass(frozen=True)
class Pair:
    """A Jamba and a simple state space model."""

    study: Study
    ours: str
    theirs: str

    @property
    def envs(self) -> list[str]:
        """Tasks that both were run on."""
        return [env for env in self.study.envs if self.study.has(self.ours, env) and self.study.has(self.theirs, env)]

    def finals(self, env: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Final scores of both."""
        return self.study.values(self.ours, env), self.study.values(self.theirs, env)

    def runs(self, envs: Sequence[str]) -> int:
        """Of the agent that has fewer, on the task where it has fewest."""
        return min(len(finals) for env in envs for finals in self.finals(env))


Reason = Callable[[Pair, str], str]
"""Why a task says nothing about an expectation; nothing where it does."""
Change = Callable[[Pair, Sequence[str]], Interval]


def findings(study: Study) -> list[Finding]:
    """Every expectation, on every task that has a Jamba and a simple state space model, and on all of them."""
    pairs = [Pair(study, f"{part}-{OURS}", f"{part}-{simple}") for part in ("ppo", "sac") for simple in SIMPLE]
    return [finding for pair in pairs for finding in _of_pair(pair)]


def _of_pair(pair: Pair) -> Iterator[Finding]:
    groups = {env: [env] for env in pair.envs}
    if len(groups) > 1:
        groups[f"all {len(groups)} tasks"] = pair.envs
    for where, envs in groups.items():
        for name, (reason, change) in MEASURES.items():
            reasons = {env: reason(pair, env) for env in envs}
            judged = [env for env in envs if not reasons[env]]
            who = (where, pair.ours, pair.theirs, CLAIMS[name])
            if judged:
                yield Finding(*who, change(pair, judged), pair.runs(judged), len(envs) - len(judged))
            else:
                yield Finding(*who, Interval(np.nan), pair.runs(envs), reason=reasons[envs[0]])


def _no_reward(pair: Pair, env: str) -> str:
    """A ratio to nothing says nothing, and neither does one that cannot be as large as was expected."""
    anchors, theirs = pair.study.anchors[env], pair.finals(env)[1].mean()
    if anchors.random is None:
        return "not measured, for want of the score of random actions"
    if theirs <= anchors.random:
        return _learned_nothing(pair)
    room = (1 + CLAIMS["reward"].least) * (theirs - anchors.random)
    best = pair.study.scores.peak[pair.study.scores.env == env].max()
    if anchors.reference is not None and best <= anchors.reference < anchors.random + room:
        return f"not judged: `{pair.theirs}` is too near to the best that there is"
    return ""


def _learned_nothing(pair: Pair) -> str:
    return f"not judged: `{pair.theirs}` learned nothing"


def _no_steps(pair: Pair, env: str) -> str:
    return _learned_nothing(pair) if pair.finals(env)[1].mean() <= pair.study.thresholds[env].start else ""


def _no_spread(pair: Pair, env: str) -> str:
    if pair.runs([env]) == 1:
        return "one seed has no spread"
    return "not judged: no seed differs" if all(np.ptp(finals) == 0 for finals in pair.finals(env)) else ""


def _reward(pair: Pair, envs: Sequence[str]) -> Interval:
    above = [[finals - (pair.study.anchors[env].random or 0.0) for finals in pair.finals(env)] for env in envs]
    return bootstrap_pair([ours for ours, _ in above], [theirs for _, theirs in above], relative_improvement)


def _steps(pair: Pair, envs: Sequence[str]) -> Interval:
    mine, other = ([_reached(pair, env, agent) for env in envs] for agent in (pair.ours, pair.theirs))
    return fewer_steps(mine, other)


def _reached(pair: Pair, env: str, agent: str) -> Reached:
    """When the runs of an agent reached nine tenths of the state space model's score."""
    threshold = on_the_way(pair.study.thresholds[env].start, pair.finals(env)[1].mean())
    runs = pair.study.runs_of(agent, env)
    curves = [run.curve for run in runs]
    return Reached(
        after=np.array([steps_below(*curve, threshold) for curve in curves]),
        by=np.array([steps_to_reach(*curve, threshold) for curve in curves]),
        budget=np.array([float(run.budget) for run in runs]),
    )


def _spread(pair: Pair, envs: Sequence[str]) -> Interval:
    finals = [pair.finals(env) for env in envs]
    return bootstrap_pair([ours for ours, _ in finals], [theirs for _, theirs in finals], spread_change)


MEASURES: dict[str, tuple[Reason, Change]] = {
    "reward": (_no_reward, _reward),
    "steps": (_no_steps, _steps),
    "spread": (_no_spread, _spread),
}
