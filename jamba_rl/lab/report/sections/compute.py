"""What agents cost."""

from __future__ import annotations

from jamba_rl.lab.report.numbers import decimals, number, percent
from jamba_rl.lab.report.order import OURS, kind
from jamba_rl.lab.report.page import Cell, Section, Table
from jamba_rl.lab.report.sections.scores import size
from jamba_rl.lab.report.sources import machines
from jamba_rl.lab.report.study import Study, by_task

COLUMNS = ("agent", "parameters", "env-steps/s", "ms per step", "peak memory, MB")


def compute(study: Study) -> Section:
    """Parameters, speed of training, latency of a step, memory."""
    return Section(
        "compute",
        "Compute",
        fastest(study),
        words=[
            "Medians over seeds. Env-steps/s are those of training, evaluations apart; a step's latency is that of one "
            "observation of one env, deterministic; peak memory is of the whole process. Runs that shared a machine "
            "slowed each other down."
        ],
        points=machines(study.runs),
        parts=[Table(COLUMNS, by_task(study, lambda *who: _row(study, *who)))],
    )


def fastest(study: Study) -> str:
    """Who trains fastest, and how a Jamba compares; nothing where there is one agent."""
    speeds = study.scores.groupby("agent").steps_per_second.median()
    first = str(speeds.idxmax())
    ours = [agent for agent in study.agents if kind(agent) == OURS and agent != first]
    if len(speeds) == 1:
        return ""
    text = f"`{first}` trains at {number(speeds[first])} env-steps/s"
    others = [
        f"`{agent}` at {number(speeds[agent])}, {percent(speeds[agent] / speeds[first])} of that" for agent in ours
    ]
    return f"{'; '.join([text, *others])}."


def _row(study: Study, env: str, agent: str) -> list[Cell | str]:
    rows = study.of(agent, env)
    latency, memory = rows.predict_ms.astype(float).median(), rows.peak_memory_mb.astype(float).median()
    return [
        Cell(agent, agent=agent),
        size(rows.parameters.iloc[0], rows.active_parameters.iloc[0]),
        number(rows.steps_per_second.median()),
        number(latency, decimals([latency])),
        number(memory),
    ]
