"""Who scores most on a task, and whether by more than chance."""

from __future__ import annotations

from collections import Counter, defaultdict
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
from jamba_rl.lab.stats.claims import FEWEST


@dataclass(frozen=True)
class Lead:
    """The best mean final score on a task, and how it compares with the next.

    :ivar first: several if they score the same
    :ivar second: nobody where there is one agent, or several are first
    :ivar by: of the means
    :ivar chance: whether it makes the difference of the means
    :ivar beats: how often a run of the first scores more than one of the second
    :ivar runs: of the agent that has fewer
    :ivar digits: decimals of the task's scores
    """

    first: tuple[str, ...]
    top: Interval
    second: str
    by: Interval
    chance: Chance
    beats: float
    runs: int
    digits: int

    @property
    def contested(self) -> bool:
        """Whether there is more than one agent."""
        return bool(self.second) or len(self.first) > 1

    def __str__(self) -> str:
        best, score, beaten = listed(self.first), estimate(self.top, self.digits), percent(self.beats)
        if len(self.first) > 1:
            return f"{best} score the same, {score}, {plural(self.runs, 'seed')}."
        if not self.second:
            return f"{best} scores {score}, {plural(self.runs, 'seed')}."
        return (
            f"{best} scores {score}, ahead of `{self.second}` by {estimate(self.by, self.digits)}, "
            f"{verdict(self.chance, self.runs)}. A run of {best} beats one of `{self.second}` {beaten} of the time."
        )


def lead_on(study: Study, env: str) -> Lead:
    """Who leads on an env."""
    finals = {agent: study.values(agent, env) for agent in study.agents_on(env)}
    first, *others = ranking({agent: float(runs.mean()) for agent, runs in finals.items()})
    mine, digits = finals[first[0]], decimals(np.concatenate(list(finals.values())))
    top = bootstrap([mine], mean)
    if len(first) > 1 or not others:
        runs = min(len(finals[agent]) for agent in first)
        chance = Chance.UNKNOWN if runs < FEWEST else Chance.MAYBE
        return Lead(first, top, "", Interval(np.nan), chance, np.nan, runs, digits)
    second = others[0][0]
    theirs = finals[second]
    by, chance = bootstrap_pair([mine], [theirs], mean_difference), tell([mine], [theirs], mean_difference)
    beats = float(probability_of_improvement([mine], [theirs]))
    return Lead(first, top, second, by, chance, beats, min(len(mine), len(theirs)), digits)


def ranking(values: Mapping[str, float]) -> list[tuple[str, ...]]:
    """Names by their values, the highest first; those of one value stand together.

    >>> ranking({"a": 1.0, "b": 3.0, "c": 1.0})
    [('b',), ('a', 'c')]
    """
    by_value: dict[float, list[str]] = defaultdict(list)
    for name, value in values.items():
        by_value[value].append(name)
    return [tuple(by_value[value]) for value in sorted(by_value, reverse=True)]


def leaders(study: Study) -> str:
    """Who leads where; nothing where there is one task, or nobody to lead."""
    leads = {env: lead_on(study, env) for env in study.envs}
    contested = {env: lead for env, lead in leads.items() if lead.contested}
    if len(leads) == 1 or not contested:
        return ""
    won = Counter(agent for lead in contested.values() for agent in lead.first)
    where = " and ".join(f"`{agent}` on {count}" for agent, count in won.most_common())
    return f"Of {plural(len(contested), 'task')}, the best mean is that of {where}; {_sure(contested)}."


def _sure(leads: Mapping[str, Lead]) -> str:
    """Where the first are ahead by more than chance."""
    sure = [env for env, lead in leads.items() if lead.chance is Chance.NO]
    if not sure and all(lead.chance is Chance.UNKNOWN for lead in leads.values()):
        return str(Chance.UNKNOWN) + " whether by more than chance"
    return f"on {listed(sure) if sure else 'none'} by {Chance.NO}"
