"""Who scores most on a task, and whether by more than chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from jamba_rl.lab.report.numbers import decimals, estimate, listed, percent, plural, verdict
from jamba_rl.lab.report.study import Study
from jamba_rl.lab.stats import (
    Chance,
    Interval,
    bootstrap,
    bootstrap_pair,
    mean,
    mean_difference,
    probability_of_improvement,
    tell,
)


@dataclass(frozen=True)
class Lead:
    """The best mean final score on a task, and how it compares with the next.

    :ivar second: nobody where there is one agent
    :ivar by: of the means
    :ivar chance: whether it makes the difference of the means
    :ivar beats: how often a run of the first scores more than one of the second
    :ivar runs: of the agent that has fewer
    :ivar digits: decimals of the task's scores
    """

    first: str
    top: Interval
    second: str
    by: Interval
    chance: Chance
    beats: float
    runs: int
    digits: int

    def __str__(self) -> str:
        text = f"`{self.first}` scores {estimate(self.top, self.digits)}"
        if not self.second:
            return f"{text}, {plural(self.runs, 'seed')}."
        return (
            f"{text}, ahead of `{self.second}` by {estimate(self.by, self.digits)}, {verdict(self.chance, self.runs)}. "
            f"A run of `{self.first}` beats one of `{self.second}` {percent(self.beats)} of the time."
        )


def lead_on(study: Study, env: str) -> Lead:
    """Who leads on an env."""
    finals = {agent: study.values(agent, env) for agent in study.agents_on(env)}
    first, *others = sorted(finals, key=lambda agent: -finals[agent].mean())
    mine, digits = finals[first], decimals(np.concatenate(list(finals.values())))
    top = bootstrap([mine], mean)
    if not others:
        return Lead(first, top, "", Interval(np.nan), Chance.UNKNOWN, np.nan, len(mine), digits)
    theirs = finals[others[0]]
    by, chance = bootstrap_pair([mine], [theirs], mean_difference), tell([mine], [theirs], mean_difference)
    beats = float(probability_of_improvement([mine], [theirs]))
    return Lead(first, top, others[0], by, chance, beats, min(len(mine), len(theirs)), digits)


def leaders(study: Study) -> str:
    """Who leads where; nothing where there is one task, or nobody to lead."""
    leads = {env: lead_on(study, env) for env in study.envs}
    if len(leads) == 1 or all(not lead.second for lead in leads.values()):
        return ""
    won = Counter(lead.first for lead in leads.values() if lead.second)
    where = " and ".join(f"`{agent}` on {count}" for agent, count in won.most_common())
    return f"Of {won.total()} tasks, the best mean is that of {where}; {_sure(leads)}."


def _sure(leads: Mapping[str, Lead]) -> str:
    """Where the first are ahead by more than chance."""
    sure = [env for env, lead in leads.items() if lead.chance is Chance.NO]
    if not sure and all(lead.chance is Chance.UNKNOWN for lead in leads.values()):
        return str(Chance.UNKNOWN) + " whether by more than chance"
    return f"on {listed(sure) if sure else 'none'} by {Chance.NO}"
