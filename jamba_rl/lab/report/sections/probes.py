"""What trained agents are worth when something is taken from them that they had in training."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from jamba_rl.catalogue import UserError
from jamba_rl.lab.files import Table as Csv
from jamba_rl.lab.report.numbers import decimals, number, percent
from jamba_rl.lab.report.page import Cell, Section, Table
from jamba_rl.lab.report.study import Study

PLAIN = "plain"  # the row of an agent as it is


def probes(study: Study) -> Section | None:
    """What is left of agents under the probes that they were put to."""
    rows = [run.who | row for run in study.runs for row in _read(run.folder / "probes.csv")]
    if not rows:
        return None
    found = pd.DataFrame(rows)
    names = [name for name in dict.fromkeys(found.probe) if name != PLAIN]
    means = found.pivot_table("score", ["env", "agent"], "probe").reindex(columns=[PLAIN, *names])
    return Section(
        "probes",
        "With something taken away",
        _worst(study, means),
        words=[
            "Return of the final model over the same episodes, as it is and under every probe; the mean over seeds."
        ],
        parts=[
            Table(("agent", "as it is", *names), [_row(study, env, agent, means) for env, agent in _who(study, means)])
        ],
        notes=["What a probe takes away, config.yaml says: of a memory everything that is carried from step to step."],
    )


def _read(path: Path) -> list[dict[str, str | float]]:
    """Scores by probe; none of a file that cannot be read, as of one that is not there."""
    try:
        table = Csv(path)
        table.check_numbers("mean_reward")
        return [{"probe": row["probe"], "score": float(row["mean_reward"])} for row in table.rows()]
    except (UserError, KeyError):
        return []


def _who(study: Study, means: pd.DataFrame) -> list[tuple[str, str]]:
    return [(env, agent) for env in study.envs for agent in study.agents_on(env) if (env, agent) in means.index]


def _row(study: Study, env: str, agent: str, means: pd.DataFrame) -> tuple[str, list[Cell | str]]:
    digits = decimals(means.loc[env].to_numpy().ravel())
    return env, [Cell(agent, agent=agent), *(number(value, digits) for value in means.loc[(env, agent)])]


def _worst(study: Study, means: pd.DataFrame) -> str:
    """Which probe costs whom most of what it gains over random actions."""
    costs: dict[float, tuple[str, str, str]] = {}
    for env, agent in means.index:
        random, scores = study.anchors[env].random, means.loc[(env, agent)]
        if random is not None and scores[PLAIN] > random:
            costs |= {
                (scores[PLAIN] - score) / (scores[PLAIN] - random): (probe, agent, env)
                for probe, score in scores.items()
                if probe != PLAIN and score < scores[PLAIN]
            }
    if not costs:
        return ""
    probe, agent, env = costs[max(costs)]
    return f"`{probe}` costs `{agent}` most, {percent(max(costs))} of what it gains over random actions on {env}."
