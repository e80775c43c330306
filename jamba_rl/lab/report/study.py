"""Everything that the sections of a report are made from: runs, and one row of numbers for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from jamba_rl.catalogue import UserError
from jamba_rl.lab.report.anchors import anchors_of
from jamba_rl.lab.report.experiment import Experiment, read_experiment
from jamba_rl.lab.report.order import in_order
from jamba_rl.lab.report.runs import LeftOut, Run, read_runs
from jamba_rl.lab.report.same import keep_same
from jamba_rl.lab.report.schema import Task
from jamba_rl.lab.report.threshold import Threshold, on_the_way, threshold_of
from jamba_rl.lab.stats import Anchors, area_under_curve, normalise, roughness, steps_to_reach

COLUMNS = [
    "agent", "env", "seed", "steps", "final", "normalised", "parameters", "active_parameters", "steps_per_second",
    "predict_ms", "peak_memory_mb", "area_under_curve", "steps_to_threshold", "steps_to_90_of_own_final", "peak",
    "std_in_training", "roughness", "budget",
]  # fmt: skip


@dataclass(frozen=True)
class Study:
    """The runs of a results folder, measured.

    :ivar folder: the results folder
    :ivar experiment: what else is known of it
    :ivar scores: one row per run; `COLUMNS`
    :ivar anchors: of every env
    :ivar thresholds: of every env, a score that is good enough
    """

    folder: Path
    experiment: Experiment
    runs: Sequence[Run]
    left_out: Sequence[LeftOut]
    scores: pd.DataFrame
    anchors: Mapping[str, Anchors]
    thresholds: Mapping[str, Threshold]

    @property
    def name(self) -> str:
        """Name of the experiment."""
        return self.folder.resolve().name

    @property
    def envs(self) -> list[str]:
        """All envs, by name."""
        return sorted(set(self.scores.env))

    @property
    def agents(self) -> list[str]:
        """All agents, in order."""
        return in_order(self.scores.agent)

    def agents_on(self, env: str) -> list[str]:
        """Those that were run on an env, in order."""
        return in_order(self.scores.agent[self.scores.env == env])

    def has(self, agent: str, env: str) -> bool:
        """Whether an agent was run on an env."""
        return bool(((self.scores.agent == agent) & (self.scores.env == env)).any())

    def of(self, agent: str, env: str) -> pd.DataFrame:
        """Rows of an agent on an env, by seed."""
        return self.scores[(self.scores.agent == agent) & (self.scores.env == env)]

    def values(self, agent: str, env: str, column: str = "final") -> NDArray[np.float64]:
        """One number of each of them."""
        return self.of(agent, env)[column].to_numpy(dtype=np.float64)

    def runs_of(self, agent: str, env: str) -> list[Run]:
        """Runs of an agent on an env."""
        return [run for run in self.runs if (run.agent.name, run.task.name) == (agent, env)]

    def part(self, agent: str) -> str:
        """``ppo`` or ``sac``: what an agent's algorithm belongs to."""
        return next(run.part for run in self.runs if run.agent.name == agent)

    def task(self, env: str) -> Task:
        """What the runs of an env say about it."""
        return next(run.task for run in self.runs if run.task.name == env)


def make_study(folder: Path) -> Study:
    """Read and measure.

    :param folder: results; runs lie under its ``runs``
    :raises UserError: if there is no run that can be reported
    """
    found, unreadable = read_runs(folder / "runs")
    runs, unlike = keep_same(found)
    left_out = sorted([*unreadable, *unlike], key=lambda run: run.folder)
    if not runs:
        raise UserError(f"no finished run under {folder / 'runs'}{_why(left_out)}")
    envs = sorted({run.task.name for run in runs})
    anchors = {env: anchors_of(env, runs) for env in envs}
    thresholds = {env: threshold_of([run for run in runs if run.task.name == env], anchors[env]) for env in envs}
    rows = [_measure(run, anchors[run.task.name], thresholds[run.task.name]) for run in runs]
    scores = pd.DataFrame(rows, columns=COLUMNS).sort_values(["env", "agent", "seed"], ignore_index=True)
    return Study(folder, read_experiment(folder), runs, left_out, scores, anchors, thresholds)


def _why(left_out: Sequence[LeftOut]) -> str:
    if not left_out:
        return ""
    first = next((run for run in left_out if run.kind == "damaged"), left_out[0])
    return f" that can be reported; of {len(left_out)} left out, the first: {first.reason}"


def _measure(run: Run, anchors: Anchors, threshold: Threshold) -> dict[str, Any]:
    (steps, values), made, final, result = run.curve, run.returns, run.final, run.result
    start = float(made[0]) if anchors.random is None else anchors.random
    own = on_the_way(start, final)
    active = result.parameters if result.active_parameters is None else result.active_parameters
    return run.who | {
        "steps": result.step,
        "final": final,
        "normalised": normalise(final, anchors) if anchors.whole else np.nan,
        "parameters": result.parameters,
        "active_parameters": active,
        "steps_per_second": result.steps_per_second,
        "predict_ms": result.predict_ms,
        "peak_memory_mb": result.peak_memory_mb,
        "area_under_curve": area_under_curve(steps, values),
        "steps_to_threshold": steps_to_reach(steps, values, threshold.score) if threshold.known else np.nan,
        "steps_to_90_of_own_final": steps_to_reach(steps, values, own) if final > start else np.nan,
        "peak": made.max(),
        "std_in_training": made.std(),
        "roughness": roughness(made),
        "budget": run.budget,
    }


def by_task(study: Study, row: Callable[[str, str], Any]) -> list[tuple[str, Any]]:
    """A row for every agent on every env."""
    return [(env, row(env, agent)) for env in study.envs for agent in study.agents_on(env)]
