"""How good agents are in the end."""

from __future__ import annotations

import numpy as np

from jamba_rl.lab.report.numbers import decimals, interval, number, plural
from jamba_rl.lab.report.page import Bar, Bars, Cell, Section, Table
from jamba_rl.lab.report.sections.lead import lead_on, leaders
from jamba_rl.lab.report.study import Study, by_task
from jamba_rl.lab.run import file_name
from jamba_rl.lab.stats import bootstrap, iqm, mean
from jamba_rl.lab.stop import Stop

SCALE = ("normalised 0: random actions", "normalised 1: reference", "who that is")
COLUMNS = ("agent", "seeds", "steps", "mean", "95% interval", "IQM", "std", "worst", "best", "normalised", "parameters")


def scores(study: Study) -> Section:
    """Final scores of all agents on all tasks."""
    return Section(
        "scores",
        "Final scores",
        leaders(study),
        words=[
            "The final score of a run is the mean of the last tenth of its deterministic evaluations, never its best "
            "one. Mean, 95% bootstrap interval of the mean, interquartile mean, standard deviation and extremes are "
            "over seeds."
        ],
        points=_endings(study),
        parts=[
            *(final_bars(study, env) for env in study.envs),
            Table(COLUMNS, by_task(study, lambda *who: _row(study, *who))),
            Table(SCALE, [(env, _scale_of(study, env)) for env in study.envs], frozenset({SCALE[2]})),
        ],
    )


def _endings(study: Study) -> list[str]:
    """How many runs were ended because they were good enough, a sentence for every condition."""
    stops = dict.fromkeys(run.stop for run in study.runs if run.stop is not None and run.ended_early)
    return [_ending(study, stop) for stop in stops]


def _ending(study: Study, stop: Stop) -> str:
    might = [run for run in study.runs if run.stop == stop]
    ended = sum(run.ended_early for run in might)
    often = f" {stop.times} times in a row" if stop.times > 1 else ""
    return (
        f"{ended:,} of {plural(len(might), 'run')} ended early, when `{stop.metric}` was at least {stop.at:g}{often}. "
        "Their final score is of the evaluations that were made, the last of which are good by choice; curves and "
        "areas keep the last value to the end of the budget."
    )


def final_bars(study: Study, env: str) -> Bars:
    """Final scores on an env, with their intervals."""
    agents = study.agents_on(env)
    found = {agent: bootstrap([study.values(agent, env)], mean) for agent in agents}
    digits = decimals(study.scores.final[study.scores.env == env])
    bars = [
        Bar(agent, each, f"{number(each.value, digits)} {interval(each, digits) if each.known else ''}".strip())
        for agent, each in found.items()
    ]
    return Bars(f"{file_name(env)}-final", env, bars, finding=str(lead_on(study, env)), label="final score")


def _row(study: Study, env: str, agent: str) -> list[Cell | str]:
    rows = study.of(agent, env)
    final = rows.final.to_numpy(dtype=np.float64)
    digits = decimals(study.scores.final[study.scores.env == env])
    means = {each: study.values(each, env).mean() for each in study.agents_on(env)}
    normalised = rows.normalised.mean()
    return [
        Cell(agent, agent=agent),
        str(len(rows)),
        _range(rows.steps.min(), rows.steps.max()),
        Cell(number(final.mean(), digits), best=len(means) > 1 and means[agent] == max(means.values())),
        interval(bootstrap([final], mean), digits),
        number(float(iqm([final])), digits),
        number(final.std(ddof=1) if len(final) > 1 else None, digits),
        number(final.min(), digits),
        number(final.max(), digits),
        number(normalised, 2),
        size(rows.parameters.iloc[0], rows.active_parameters.iloc[0]),
    ]


def _range(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def size(total: int, active: int) -> str:
    """Parameters of an agent; of one with experts also those that a step meets."""
    return f"{total:,}" if active == total else f"{total:,} ({active:,} active)"


def _scale_of(study: Study, env: str) -> list[Cell | str]:
    anchors = study.anchors[env]
    digits = decimals(value for value in (anchors.random, anchors.reference) if value is not None)
    missing = "" if anchors.whole else "not known, so there are no normalised scores"
    return [number(anchors.random, digits), number(anchors.reference, digits), anchors.source or missing]
