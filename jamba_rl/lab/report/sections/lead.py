"""Who scores most on a task, and whether by more than chance."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from jamba_rl.lab.report.numbers import decimals, estimate, listed, percent, plural, verdict
from jamba_rl.lab.report.study import Study
from jamba_rl.lab.stats import Interval, bootstrap, bootstrap_pair, mean, probability_of_improvement


@dataclass(frozen=True)
class Lead:
    """The best mean final score on a task, and how it compares with the next.

    :ivar second: nobody where there is one agent
    :ivar by: of the means
    :ivar chance: that a run of the first scores more than one of the second
    :ivar runs: of the agent that has fewer
    :ivar digits: decimals of the task's scores
    """

    first: str
    top: Interval
    second: str
    by: Interval
    chance: float
    runs: int
    digits: int

    @property
    def sure(self) -> bool:
        """Whether the first is ahead by more than chance."""
        return self.by.known and not self.by.holds(0)

    def __str__(self) -> str:
        text = f"`{self.first}` scores {estimate(self.top, self.digits)}"
        if not self.second:
            return f"{text}, {plural(self.runs, 'seed')}."
        return (
            f"{text}, ahead of `{self.second}` by {estimate(self.by, self.digits)}, {verdict(self.by, self.runs)}. "
            f"A run of `{self.first}` beats one of `{self.second}` {percent(self.chance)} of the time."
        )


def lead_on(study: Study, env: str) -> Lead:
    """Who leads on an env."""
    finals = {agent: study.values(agent, env) for agent in study.agents_on(env)}
    first, *others = sorted(finals, key=lambda agent: -finals[agent].mean())
    mine, digits = finals[first], decimals(np.concatenate(list(finals.values())))
    top = bootstrap([mine], mean)
    if not others:
        return Lead(first, top, "", Interval(np.nan), np.nan, len(mine), digits)
    theirs = finals[others[0]]
    by = bootstrap_pair([mine], [theirs], lambda a, b: mean(a) - mean(b))
    chance = float(probability_of_improvement([mine], [theirs]))
    return Lead(first, top, others[0], by, chance, min(len(mine), len(theirs)), digits)


def leaders(study: Study) -> str:
    """Who leads where; nothing where there is one task, or nobody to lead."""
    leads = {env: lead_on(study, env) for env in study.envs}
    if len(leads) == 1 or all(not lead.second for lead in leads.values()):
        return ""
    won = Counter(lead.first for lead in leads.values() if lead.second)
    where = " and ".join(f"`{agent}` on {count}" for agent, count in won.most_common())
    sure = [env for env, lead in leads.items() if lead.sure]
    chance = f"on {listed(sure)} by more than chance" if sure else "on none by more than chance"
    return f"Of {won.total()} tasks, the best mean is that of {where}; {chance}."
