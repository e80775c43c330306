"""How soon agents are good."""

from __future__ import annotations

from collections import Counter

import numpy as np

from jamba_rl.lab.report.numbers import NOTHING, decimals, interval, listed, number, plural, steps
from jamba_rl.lab.report.page import Cell, Section, Table
from jamba_rl.lab.report.study import Study, by_task
from jamba_rl.lab.stats import bootstrap, mean, median_steps, normalise

THRESHOLD = ("threshold", "which is")
COLUMNS = ("agent", "reached", "median steps", "95% interval", "mean return", "95% interval", "normalised")


def efficiency(study: Study) -> Section:
    """Steps to a good score, and the area under the learning curve."""
    return Section(
        "efficiency",
        "Learning speed",
        _soonest(study),
        words=[
            "Env steps until the first evaluation at the threshold. Runs that never got there are counted as censored: "
            "where they are half of all, the median is more than was trained for. Mean return is the area under the "
            "learning curve over its length, which rewards learning early and staying good."
        ],
        parts=[
            Table(COLUMNS, by_task(study, lambda *who: _row(study, *who))),
            Table(THRESHOLD, [(env, _threshold(study, env)) for env in study.envs], frozenset({THRESHOLD[1]})),
        ],
    )


def first_there(study: Study, env: str) -> str:
    """Which agents need the fewest steps to the threshold of an env, and which are next."""
    threshold, needed = study.thresholds[env], _needed(study, env)
    if not threshold.known:
        return f"Threshold: {threshold.words}."
    score = f"{number(threshold.score, decimals([threshold.score]))}, {threshold.words},"
    if not needed:
        budget = study.scores.budget[study.scores.env == env].max()
        return f"No agent has half of its runs at {score} within {budget:,} steps."
    first, *later = needed
    text = f"Half of the runs of {listed(needed[first])} reach {score} within {number(first)} steps"
    return f"{text}; next: {listed(needed[later[0]])} within {number(later[0])}." if later else f"{text}."


def _needed(study: Study, env: str) -> dict[float, list[str]]:
    """Median steps to the threshold, the fewest first, and the agents that need them; without those that never do."""
    needed: dict[float, list[str]] = {}
    for agent in study.agents_on(env):
        needed.setdefault(float(median_steps([study.values(agent, env, "steps_to_threshold")])), []).append(agent)
    return {median: needed[median] for median in sorted(needed) if np.isfinite(median)}


def _soonest(study: Study) -> str:
    """Who is first at the threshold, and where."""
    envs = [env for env in study.envs if study.thresholds[env].known and len(study.agents_on(env)) > 1]
    firsts = Counter(agent for env in envs for agent in next(iter(_needed(study, env).values()), []))
    where = [f"`{agent}` on {count}" for agent, count in firsts.most_common()]
    return f"First at the threshold, of {plural(len(envs), 'task')}: {', '.join(where)}." if where else ""


def _threshold(study: Study, env: str) -> list[Cell | str]:
    threshold = study.thresholds[env]
    return [number(threshold.score, decimals([threshold.score])), threshold.words]


def _row(study: Study, env: str, agent: str) -> list[Cell | str]:
    rows = study.of(agent, env)
    needed, area = (study.values(agent, env, name) for name in ("steps_to_threshold", "area_under_curve"))
    digits = decimals(study.scores.area_under_curve[study.scores.env == env])
    budget, median, mean_area = rows.budget.max(), bootstrap([needed], median_steps), bootstrap([area], mean)
    ends = f"[{steps(median.low, budget)}, {steps(median.high, budget)}]" if median.known else interval(median)
    anchors = study.anchors[env]
    return [
        Cell(agent, agent=agent),
        f"{np.isfinite(needed).sum()} of {len(needed)}" if study.thresholds[env].known else NOTHING,
        steps(median.value, budget),
        ends,
        number(mean_area.value, digits),
        interval(mean_area, digits),
        number(float(normalise(area, anchors).mean()) if anchors.whole else None, 2),
    ]
