"""What agents cost."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import geometric_mean

import numpy as np

from jamba_rl.lab.report.numbers import decimals, listed, number, percent
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
    """How fast a Jamba trains, or else the first agent, by the fastest of the others; nothing where there is none."""
    ours = [agent for agent in study.agents if kind(agent) == OURS] or study.agents[:1]
    return " ".join(_against_fastest(study, agent) for agent in ours).strip()


def _against_fastest(study: Study, ours: str) -> str:
    shares = {
        agent: _share(study, ours, agent, envs)
        for agent in study.agents
        if agent != ours and study.part(agent) == study.part(ours) and (envs := _shared(study, ours, agent))
    }
    if not shares:
        return ""
    first = min(shares, key=lambda agent: shares[agent])
    where = listed(_shared(study, ours, first))
    return f"`{ours}` trains at {percent(shares[first])} of the speed of `{first}`, the fastest other, on {where}."


def _shared(study: Study, one: str, other: str) -> list[str]:
    return [env for env in study.envs if study.has(one, env) and study.has(other, env)]


def _share(study: Study, ours: str, theirs: str, envs: Sequence[str]) -> float:
    """Our env-steps per second in theirs: tasks are not equally fast, so the ratio of each counts alike."""
    return geometric_mean(_speed(study, ours, env) / _speed(study, theirs, env) for env in envs)


def _speed(study: Study, agent: str, env: str) -> float:
    return float(np.median(study.values(agent, env, "steps_per_second")))


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
