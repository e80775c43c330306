"""How agents learn: a chart per task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from jamba_rl.lab.report.page import Chart, Line, Section
from jamba_rl.lab.report.runs import Run
from jamba_rl.lab.report.sections.efficiency import first_there
from jamba_rl.lab.report.study import Study
from jamba_rl.lab.run import file_name
from jamba_rl.lab.stats import Anchors, curve_band

MOST_POINTS = 200  # of a line in a chart; curves.csv has them all
MARGIN = 0.25  # of the height of the curves


def curves(study: Study) -> Section:
    """Deterministic return over env steps."""
    return Section(
        "curves",
        "Learning curves",
        words=[
            "Return of deterministic evaluation episodes over env steps: the mean of all seeds, and its 95% bootstrap "
            "interval as a band. A run that ended early keeps its last value to the end of its budget."
        ],
        parts=[chart for env in study.envs if (chart := curve_chart(study, env)).lines],
    )


def curve_chart(study: Study, env: str) -> Chart:
    """Curves of all agents on an env, but those whose runs have no step in common."""
    lines = [line for agent in study.agents_on(env) if (line := _line(study, env, agent)).x]
    return Chart(
        name=file_name(env),
        title=env,
        finding=first_there(study, env),
        note=study.task(env).description,
        lines=lines,
        x_label="env steps",
        y_label="return",
        marks=_in_sight(study.anchors[env], lines),
    )


def _in_sight(anchors: Anchors, lines: Sequence[Line]) -> list[tuple[float, str]]:
    """What scores are measured by, where it is no further off than the curves are high."""
    values = [value for line in lines for value in (*line.y, *line.low, *line.high)]
    low, high = min(values, default=0.0), max(values, default=0.0)
    named = ((anchors.random, "random"), (anchors.reference, "reference"))
    margin = MARGIN * (high - low)
    return [(value, name) for value, name in named if value is not None and low - margin <= value <= high + margin]


def _line(study: Study, env: str, agent: str) -> Line:
    runs = study.runs_of(agent, env)
    table = _thinned(_together(runs))
    centre, low, high = curve_band(table.to_numpy().T)
    band = {} if np.isnan(low).any() else {"low": low.tolist(), "high": high.tolist()}
    return Line(
        agent=agent,
        x=table.index.tolist(),
        y=centre.tolist(),
        runs={seed: table[seed].tolist() for seed in table} if len(runs) > 1 else {},
        **band,
    )


def _together(runs: Sequence[Run]) -> pd.DataFrame:
    """Returns by step and seed, at every step that one of the runs was evaluated at and all of them had come to.

    Between two evaluations a curve is the line that is drawn there. Where a run has no value at all, the mean of the
    others would be one of other seeds.
    """
    curves = {run.seed: pd.Series(returns, steps) for run in runs for steps, returns in [run.curve]}
    return pd.DataFrame(curves).interpolate(method="index", limit_area="inside").dropna()


def _thinned(table: pd.DataFrame) -> pd.DataFrame:
    """Evenly chosen rows, the first and last among them."""
    if len(table) <= MOST_POINTS:
        return table
    return table.iloc[np.linspace(0, len(table) - 1, MOST_POINTS).round().astype(int)]
