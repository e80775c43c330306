"""How far runs differ."""

from __future__ import annotations

from collections import Counter

import numpy as np

from jamba_rl.lab import stats
from jamba_rl.lab.report.numbers import decimals, interval, number, percent, plural
from jamba_rl.lab.report.page import Cell, Section, Table
from jamba_rl.lab.report.study import Study, by_task
from jamba_rl.lab.stats import deviation


def spread(study: Study) -> Section:
    """How far runs differ, from each other and from themselves."""
    columns = ("agent", "std of seeds", "95% interval", "of the mean", "within a run", "worst seed, of the mean")
    return Section(
        "spread",
        "Spread",
        _least(study),
        words=[
            "Standard deviation over seeds of the final score, and as a share of what it gains over random actions; "
            "its interval, by the chi-square distribution, is that of normal scores: from few seeds very wide. "
            "Within a run: standard deviation of one evaluation around the trend of its curve, from the differences "
            "between neighbours; the mean over seeds."
        ],
        parts=[Table(columns, by_task(study, lambda *who: _row(study, *who)))],
    )


def _least(study: Study) -> str:
    """Whose seeds differ least, on most tasks."""
    stds = {
        env: {agent: float(stats.spread([study.values(agent, env)])) for agent in study.agents_on(env)}
        for env in study.envs
    }
    least = [
        min(each, key=lambda agent: each[agent])
        for each in stds.values()
        if len(each) > 1 and not np.isnan([*each.values()]).any()
    ]
    if not least:
        return ""
    steady, tasks = Counter(least).most_common(1)[0]
    return f"Seeds of `{steady}` differ least on {tasks} of {plural(len(least), 'task')}."


def _row(study: Study, env: str, agent: str) -> list[Cell | str]:
    final, rough = (study.values(agent, env, name) for name in ("final", "roughness"))
    digits = decimals(study.scores.final[study.scores.env == env])
    random = study.anchors[env].random
    found = deviation(final)
    gain = final - (np.nan if random is None else random)
    mean = gain.mean() if gain.mean() > 0 else np.nan
    return [
        Cell(agent, agent=agent),
        number(found.value, digits),
        interval(found, digits),
        percent(found.value / mean),
        number(float(np.mean(rough)), digits),
        percent(gain.min() / mean),
    ]
