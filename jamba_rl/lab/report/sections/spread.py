"""How far runs differ."""

from __future__ import annotations

from collections import Counter

import numpy as np

from jamba_rl.lab.report.numbers import decimals, interval, number, percent, plural
from jamba_rl.lab.report.page import Cell, Section, Table
from jamba_rl.lab.report.sections.lead import ranking
from jamba_rl.lab.report.study import Study, by_task
from jamba_rl.lab.report.threshold import NOWHERE
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
    """Whose seeds differ least for what they gain, if that is so on most tasks."""
    least = [ranking(shares)[-1] for env in study.envs if len(shares := _shares(study, env)) > 1]
    held = Counter(agent for agents in least for agent in agents)
    steady = [agent for agent, tasks in held.items() if 2 * tasks > len(least)]
    said = [f"those of `{agent}` on {held[agent]} of {plural(len(least), 'task')}" for agent in steady]
    return f"Seeds differ least for what they gain: {', '.join(said)}." if said else ""


def _shares(study: Study, env: str) -> dict[str, float]:
    """Standard deviation over the gain, of those with several seeds who learned something: others hardly differ."""
    anchors = study.anchors[env]
    if anchors.random is None:
        return {}
    finals = {agent: study.values(agent, env) for agent in study.agents_on(env) if len(study.of(agent, env)) > 1}
    least = anchors.random + (NOWHERE * (anchors.reference - anchors.random) if anchors.reference is not None else 0.0)
    learned = {agent: final for agent, final in finals.items() if final.mean() > max(least, anchors.random)}
    return {agent: float(final.std(ddof=1) / (final.mean() - anchors.random)) for agent, final in learned.items()}


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
        percent(gain.min() / mean if len(gain) > 1 else None),
    ]
