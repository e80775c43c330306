"""What a Jamba was expected to gain over a simple state space model, and what these runs say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jamba_rl.lab.report.numbers import (
    NOTHING,
    decimals,
    number,
    percent,
    percent_estimate,
    percent_interval,
    plural,
    steps,
)
from jamba_rl.lab.report.order import OURS, SIMPLE
from jamba_rl.lab.report.page import Cell, Section, Table
from jamba_rl.lab.report.study import Study, by_task
from jamba_rl.lab.report.threshold import on_the_way
from jamba_rl.lab.stats import (
    CLAIMS,
    Claim,
    Interval,
    Reached,
    Verdict,
    bootstrap_pair,
    coefficient_of_variation,
    fewer_steps,
    judge,
    relative_improvement,
    spread_change,
    steps_below,
    steps_to_reach,
)
from jamba_rl.lab.stats.claims import FEWEST

Strata = list[NDArray[np.float64]]


@dataclass(frozen=True)
class Finding:
    """What came of one expectation.

    :ivar where: a task, or all of them
    :ivar runs: of the agent that has fewer
    :ivar reason: why there is no number
    """

    where: str
    ours: str
    theirs: str
    claim: Claim
    change: Interval
    runs: int
    reason: str = ""

    @property
    def verdict(self) -> Verdict:
        """What it says."""
        return judge(self.claim, self.change, self.runs)

    def __str__(self) -> str:
        return (
            f"{self.where}: {self.ours} against {self.theirs}, {self.claim.name} {_change(self)}, "
            f"expected {self.claim.words}: {self.verdict} at {plural(self.runs, 'seed')}"
        )


def findings(study: Study) -> list[Finding]:
    """Every expectation, on every task that has a Jamba and a simple state space model, and on all of them."""
    return [
        finding
        for part in ("ppo", "sac")
        for simple in SIMPLE
        for finding in _of_pair(study, f"{part}-{OURS}", f"{part}-{simple}")
    ]


def _of_pair(study: Study, ours: str, theirs: str) -> Iterator[Finding]:
    envs = [env for env in study.envs if study.has(ours, env) and study.has(theirs, env)]
    groups = [(env, [env]) for env in envs]
    if len(envs) > 1:
        groups.append((f"all {len(envs)} tasks", envs))
    for where, group in groups:
        runs = min(len(study.of(agent, env)) for agent in (ours, theirs) for env in group)
        yield _reward(study, where, group, ours, theirs, runs)
        mine, other = ([_reached(study, env, agent, theirs) for env in group] for agent in (ours, theirs))
        yield Finding(where, ours, theirs, CLAIMS["steps"], fewer_steps(mine, other), runs)
        final, others = ([study.values(agent, env) for env in group] for agent in (ours, theirs))
        change = bootstrap_pair(final, others, spread_change) if runs > 1 else Interval(np.nan)
        reason = "" if runs > 1 else "one seed has no spread"
        yield Finding(where, ours, theirs, CLAIMS["spread"], change, runs, reason)


def _reward(study: Study, where: str, envs: Sequence[str], ours: str, theirs: str, runs: int) -> Finding:
    unknown = [env for env in envs if study.anchors[env].random is None]
    if unknown:
        reason = "not measured, for want of the score of random actions"
        return Finding(where, ours, theirs, CLAIMS["reward"], Interval(np.nan), runs, reason)
    mine, other = (_above_random(study, envs, agent) for agent in (ours, theirs))
    return Finding(where, ours, theirs, CLAIMS["reward"], bootstrap_pair(mine, other, relative_improvement), runs)


def _above_random(study: Study, envs: Sequence[str], agent: str) -> Strata:
    return [study.values(agent, env) - (study.anchors[env].random or 0.0) for env in envs]


def _reached(study: Study, env: str, agent: str, baseline: str) -> Reached:
    """When the runs of an agent reached nine tenths of the baseline's score."""
    threshold = on_the_way(study.thresholds[env].start, study.values(baseline, env).mean())
    runs = study.runs_of(agent, env)
    curves = [run.curve for run in runs]
    return Reached(
        after=np.array([steps_below(*curve, threshold) for curve in curves]),
        by=np.array([steps_to_reach(*curve, threshold) for curve in curves]),
        budget=np.array([float(run.budget) for run in runs]),
    )


def expected(study: Study) -> Section | None:
    """Verdicts, and the expectation's own metrics."""
    found = findings(study)
    columns = ("expectation", "against", "expected", "found", "95% interval", "seeds", "verdict")
    words = (
        "DHC-Jamba expected a Jamba to gain on a simple state space model: +20 to +36% final reward, 20 to 29% fewer "
        "steps, 37 to 57% less spread, and never measured it. Confirmed means that the whole interval is at least as "
        f"much as the smaller number, refuted that none of it is; with fewer than {FEWEST} seeds a side nothing is "
        "decided."
    )
    if found:
        rows = [(finding.where, _row(finding)) for finding in found]
        judged = [Table(columns, rows, frozenset({"expectation", "against", "verdict"}))]
    else:
        judged = []
        words += " Not tested here: that needs a Jamba and a simple state space model (`ssm`) on the same task."
    own = ("agent", "final", "learning speed", "stability", "CV", "peak")
    return Section(
        "expected",
        "Against a simple SSM",
        verdicts(study),
        words=[words],
        parts=[*judged, Table(own, by_task(study, lambda *who: _own_row(study, *who)))],
        notes=[
            "Reward is measured from what random actions get, since a ratio of negative returns means nothing. Steps "
            "are the median to 90% of the state space model's final score, those of runs that never got there counting "
            "as their whole budget; the interval allows for what happened between two evaluations, and after the last. "
            "Spread is the standard deviation over seeds.",
            "The second table has DHC-Jamba's own metrics. Learning speed: median of the steps to 90% of a run's own "
            "final score, of the runs that gained something over random actions. Stability: standard deviation of the "
            "evaluations of a run, so most of it is learning. CV: standard deviation over seeds over the size of the "
            "mean. Peak: the best evaluation of a run, which is chance in part and never a score here. Final, stability "
            "and peak are means over seeds.",
        ],
    )


def verdicts(study: Study) -> str:
    """What became of expectations, on all tasks where there are several; nothing where none was tested."""
    pairs: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings(study):
        pairs.setdefault((finding.ours, finding.theirs), []).append(finding)
    return " ".join(_verdicts(each[-len(CLAIMS) :]) for each in pairs.values())


def _verdicts(found: Sequence[Finding]) -> str:
    first = found[0]
    said = "; ".join(f"{each.claim.name} {_change(each)}, {each.verdict}" for each in found)
    return f"`{first.ours}` and `{first.theirs}` on {first.where}, {plural(first.runs, 'seed')}: {said}."


def _change(finding: Finding) -> str:
    return finding.reason or percent_estimate(finding.change, "+")


def _row(finding: Finding) -> list[Cell | str]:
    change = finding.change
    return [
        finding.claim.name,
        Cell(finding.theirs, agent=finding.theirs),
        finding.claim.words,
        finding.reason or percent(change.value, sign="+"),
        NOTHING if finding.reason else percent_interval(change),
        str(finding.runs),
        Cell(finding.verdict, verdict=finding.verdict),
    ]


def _own_row(study: Study, env: str, agent: str) -> list[Cell | str]:
    rows = study.of(agent, env)
    digits = decimals(study.scores.final[study.scores.env == env])
    own = rows.steps_to_90_of_own_final.median()  # of the runs that gained something
    return [
        Cell(agent, agent=agent),
        number(rows.final.mean(), digits),
        steps(own, rows.budget.max()),
        number(rows.std_in_training.mean(), digits),
        number(coefficient_of_variation(study.values(agent, env)), 2),
        number(rows.peak.mean(), digits),
    ]
