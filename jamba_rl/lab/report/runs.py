"""Runs as they are found on disk: those that can be reported, and those that cannot, with the reason."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError
from jamba_rl.lab.files import Table, read_json
from jamba_rl.lab.report.schema import Agent, Config, Result, Task
from jamba_rl.lab.start import Start
from jamba_rl.lab.stats import final_score
from jamba_rl.lab.stop import Stop

MARKS = {"config.yaml", "result.json", "evaluations.csv", "provenance.json", "progress.csv", "model.zip", "checkpoints"}
LARGEST = 1e100  # of a return: sums and squares of more are infinite


@dataclass(frozen=True)
class Run:
    """A finished run.

    :ivar config: all of config.yaml
    :ivar stop: when it was to end early
    :ivar start: what it began with, other than from nothing
    :ivar evaluations: evaluations.csv, in the order of its steps
    :ivar starts: provenance.json; empty if it is missing or damaged
    """

    folder: Path
    config: Mapping[str, Any]
    task: Task
    agent: Agent
    seed: int
    stop: Stop | None
    start: Start | None
    evaluations: pd.DataFrame
    result: Result
    starts: list[Any]

    @property
    def part(self) -> str:
        """``ppo`` or ``sac``."""
        return self.agent.algorithm.removeprefix("sb3-")

    @property
    def budget(self) -> int:
        """Env steps that it might have taken: more than it took if it was good enough before."""
        return max(self.result.step, self.task.protocol.steps or 0) if self.stop else self.result.step

    @property
    def ended_early(self) -> bool:
        """Whether it was good enough before its budget was spent."""
        return self.result.step < self.budget

    @property
    def returns(self) -> NDArray[np.float64]:
        """Mean returns of its evaluations."""
        return self.evaluations.mean_reward.to_numpy(dtype=np.float64)

    @property
    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Steps and mean returns of its evaluations.

        What was ended early keeps its last value to the end of its budget, so that it is no shorter than the others.
        """
        steps, returns = self.evaluations.step.to_numpy(dtype=np.float64), self.returns
        if self.ended_early:
            return np.append(steps, self.budget), np.append(returns, returns[-1])
        return steps, returns

    @property
    def final(self) -> float:
        """Its final score, of the evaluations that were made."""
        return final_score(self.returns)

    @property
    def who(self) -> dict[str, Any]:
        """What tells it from the others of a report."""
        return {"agent": self.agent.name, "env": self.task.name, "seed": self.seed}


@dataclass(frozen=True)
class LeftOut:
    """A run that is not reported."""

    folder: Path
    reason: str
    kind: Literal["damaged", "unfinished"] = "damaged"


def read_runs(root: Path) -> tuple[list[Run], list[LeftOut]]:
    """All runs under a folder, in the order of their paths."""
    runs: list[Run] = []
    left_out: list[LeftOut] = []
    for folder in run_folders(root):
        try:
            unfinished = _unfinished(folder)
            if unfinished:
                left_out.append(LeftOut(folder, unfinished, "unfinished"))
            else:
                runs.append(read_run(folder))
        except UserError as error:
            left_out.append(LeftOut(folder, str(error)))
    return runs, left_out


def run_folders(root: Path) -> Iterator[Path]:
    """Folders that are a run, or were to become one: something of a run is in them, or nothing at all."""
    for path, folders, files in os.walk(root):
        folders.sort()
        if MARKS & {*folders, *files} or (not folders and not files and Path(path) != root):
            folders.clear()
            yield Path(path)


def read_run(folder: Path) -> Run:
    """Read a finished run.

    :raises UserError: names the file, and what is wrong with it
    """
    path = folder / "config.yaml"
    if not any(folder.iterdir()):
        raise UserError(f"{folder} is empty")
    if not path.exists():
        raise UserError(f"{folder} has no config.yaml")
    data = catalogue.load(path)
    config = catalogue.check(Config, data, path)
    result = catalogue.check(Result, read_json(folder / "result.json", dict), folder / "result.json")
    evaluations = _read_evaluations(folder / "evaluations.csv", result.step)
    who = (config.task, config.agent, config.seed, config.stop, config.start)
    return Run(folder, data, *who, evaluations, result, _read_starts(folder))


def _unfinished(folder: Path) -> str:
    """How far a run is that has a config and no result; nothing of any other folder.

    :raises UserError: if it is damaged
    """
    path = folder / "config.yaml"
    if (folder / "result.json").exists() or not path.exists():
        return ""
    catalogue.check(Config, catalogue.load(path), path)
    table = Table(folder / "evaluations.csv")
    table.check_numbers("step")
    rows = table.rows()
    how_far = f"last evaluated at step {rows[-1]['step']}" if rows else "not evaluated yet"
    return f"{folder} is not finished: {how_far}"


def _read_evaluations(path: Path, last_step: int) -> pd.DataFrame:
    table = Table(path)
    table.check_numbers("step", "mean_reward")
    if not table.rows():
        raise UserError(f"{path} is missing or has no rows")
    evaluations = pd.DataFrame(table.rows()).apply(pd.to_numeric, errors="coerce").sort_values("step")
    numbers = evaluations[["step", "mean_reward"]].to_numpy()
    if not (np.isfinite(numbers) & (np.abs(numbers) <= LARGEST)).all():
        raise UserError(f"{path}: step and mean_reward must be finite, and no larger than {LARGEST:g}")
    if evaluations.step.duplicated().any():
        raise UserError(f"{path} has two rows of one step")
    if evaluations.step.iloc[-1] != last_step:
        raise UserError(f"{path} ends at step {evaluations.step.iloc[-1]:.0f}, but result.json is of step {last_step}")
    return evaluations


def _read_starts(folder: Path) -> list[Any]:
    """Content of provenance.json; a report does not fail for want of it."""
    try:
        return [start for start in read_json(folder / "provenance.json", list) if isinstance(start, dict)]
    except UserError:
        return []
