"""From run folders to tables and figures: reads files only, knows nothing of training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from jamba_rl import catalogue
from jamba_rl.catalogue import Data, UserError
from jamba_rl.lab.files import Table, read_json
from jamba_rl.lab.run import file_name

KEYS = ["env", "agent", "seed"]
FINAL_SHARE = 0.1  # of a run's evaluations: the last tenth makes its final score

# between runs of one agent
MAY_DIFFER = {
    "seed",
    "device",
    "video_every",
    "task.description",
    "task.sighted",
    "task.reference",
    "agent.description",
}
PARTS = ("ppo", "sac")  # of a protocol: an agent goes by the one that its algorithm is named after


class Task(Data, extra="ignore"):
    """What a report needs to know of a task."""

    name: str


class Agent(Data, extra="ignore"):
    """What a report needs to know of an agent."""

    name: str
    algorithm: str


class Config(Data, extra="ignore"):
    """What a report needs of config.yaml."""

    task: Task
    agent: Agent
    seed: int


class Result(Data, extra="ignore"):
    """What a report needs of result.json."""

    step: int
    steps_per_second: float
    parameters: int
    active_parameters: int | None = None


def report(results: Path) -> Path:
    """Write what came out of an experiment beside its runs.

    Reads every run under ``results/runs`` and writes ``curves.csv`` (tidy:
    agent,env,seed,step,metric,value), ``scores.csv`` (one row per run), ``report.md`` and a figure
    of learning curves per env.

    :param results: the experiment's folder
    :return: the report
    :raises UserError: as `read_runs` does, before anything is written
    """
    curves, scores = read_runs(results / "runs")
    curves.to_csv(results / "curves.csv", index=False)
    scores.to_csv(results / "scores.csv", index=False)
    figures = results / "figures"
    figures.mkdir(exist_ok=True)
    for env, part in curves[curves.metric == "mean_reward"].groupby("env"):
        draw(part, str(env), figures / f"{file_name(str(env))}.svg")
    text = f"# {results.resolve().name}\n\n{_explain(scores)}\n\n{_table(scores)}\n\n"
    text += "\n".join(f"![{env}](figures/{file_name(env)}.svg)" for env in sorted(set(scores.env))) + "\n"
    (results / "report.md").write_text(text)
    return results / "report.md"


def read_runs(root: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Curves and scores of all finished runs under a folder.

    The final score of a run is the mean of the last tenth of its evaluations, never the best one.

    :raises UserError: if there is none, one is damaged, or those of an agent on an env are not seeds of the same
    """
    folders = [path.parent for path in sorted(root.rglob("config.yaml")) if (path.parent / "result.json").exists()]
    if not folders:
        raise UserError(f"no finished run under {root}")
    configs = {folder: catalogue.load(folder / "config.yaml") for folder in folders}
    names = {folder: catalogue.check(Config, config, folder / "config.yaml") for folder, config in configs.items()}
    _check_seeds(configs, names)
    curves, scores = [], []
    for folder, config in names.items():
        who = {"agent": config.agent.name, "env": config.task.name, "seed": config.seed}
        evaluations = _read_evaluations(folder / "evaluations.csv")
        scores.append(who | _score(evaluations, folder / "result.json"))
        metrics = evaluations.drop(columns="seed", errors="ignore").melt("step", var_name="metric", value_name="value")
        curves.append(metrics.assign(**who)[["agent", "env", "seed", "step", "metric", "value"]])
    return pd.concat(curves, ignore_index=True), pd.DataFrame(scores).sort_values(KEYS, ignore_index=True)


def _check_seeds(configs: Mapping[Path, Mapping[str, Any]], names: Mapping[Path, Config]) -> None:
    """Make sure that the runs of an agent on an env differ in their seeds, and in nothing else that counts."""
    first: dict[tuple[str, str], Path] = {}
    seen: dict[tuple[str, str, int], Path] = {}
    for folder, config in names.items():
        env, agent, seed = config.task.name, config.agent.name, config.seed
        other = first.setdefault((env, agent), folder)
        unused = {f"task.protocol.{part}" for part in PARTS if part not in config.agent.algorithm}
        for difference in _differences(configs[other], configs[folder], MAY_DIFFER | unused):
            raise UserError(
                f"{other} and {folder} are both agent {agent!r} on env {env!r}, but {difference}; move one to another "
                "results folder, or train it under another name, from a YAML of its own"
            )
        same = seen.setdefault((env, agent, seed), folder)
        if same != folder:
            raise UserError(
                f"{same} and {folder} are both agent {agent!r} on env {env!r} with seed {seed}; move one to another "
                "results folder, or train it with another --seed"
            )


def _differences(
    one: Mapping[str, Any], other: Mapping[str, Any], may_differ: set[str], prefix: str = ""
) -> Iterator[str]:
    """What differs between two configs; a key that only one has is younger than the other, which had its default."""
    for key in (key for key in one if key in other):
        where, a, b = f"{prefix}{key}", one[key], other[key]
        if where in may_differ or a == b:
            continue
        # the env's arguments are no keys of ours: one that is not there differs from one that is
        if isinstance(a, Mapping) and isinstance(b, Mapping) and where != "task.kwargs":
            yield from _differences(a, b, may_differ, f"{where}.")
        else:
            yield f"{where} is {a!r} in one and {b!r} in the other"


def _read_evaluations(path: Path) -> pd.DataFrame:
    table = Table(path)
    table.check_numbers("step", "mean_reward")
    if not table.rows():
        raise UserError(f"{path} is missing or has no rows; move its run away to report the others")
    evaluations = pd.DataFrame(table.rows()).apply(pd.to_numeric, errors="coerce").sort_values("step")
    if evaluations.step.duplicated().any():
        raise UserError(f"{path} has two rows of one step")
    return evaluations


def _score(evaluations: pd.DataFrame, path: Path) -> dict[str, Any]:
    result = catalogue.check(Result, read_json(path, dict), path)
    last = evaluations.tail(max(1, round(len(evaluations) * FINAL_SHARE)))
    active = result.parameters if result.active_parameters is None else result.active_parameters
    return {
        "steps": result.step,
        "final": last.mean_reward.mean(),
        "parameters": result.parameters,
        "active_parameters": active,
        "steps_per_second": result.steps_per_second,
    }


def draw(curves: pd.DataFrame, title: str, path: Path) -> None:
    """Draw mean return over env steps: a line per agent, every seed thin behind the mean of seeds."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    for i, (agent, part) in enumerate(curves.groupby("agent")):
        wide = part.pivot(index="step", columns="seed", values="value").dropna()
        axes.plot(wide.index, wide.to_numpy(), color=f"C{i}", linewidth=0.7, alpha=0.4)
        axes.plot(wide.index, wide.mean(axis=1), color=f"C{i}", linewidth=2, label=f"{agent} ({wide.shape[1]} seeds)")
    axes.set(title=title, xlabel="env steps", ylabel="return, deterministic")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    with matplotlib.rc_context({"svg.hashsalt": "jamba-rl"}):  # the same curves give the same file
        figure.savefig(path, metadata={"Date": None})


def _explain(scores: pd.DataFrame) -> str:
    return (
        f"{len(scores)} runs. The final score of a run is the mean of the last tenth of its deterministic "
        "evaluations; the table gives mean, standard deviation and extremes over seeds."
    )


def _table(scores: pd.DataFrame) -> str:
    lines = ["| env | agent | seeds | steps | mean | std | worst | best | parameters |", "|---" * 9 + "|"]
    for (env, agent), part in scores.groupby(["env", "agent"]):
        final = part.final
        lines.append(
            f"| {env} | {agent} | {len(part)} | {part.steps.max():,} | {final.mean():.0f} | "
            f"{final.std(ddof=0):.0f} | {final.min():.0f} | {final.max():.0f} | {_size(part)} |"
        )
    return "\n".join(lines)


def _size(runs: pd.DataFrame) -> str:
    """Parameters of an agent; of one with experts also those that a step meets."""
    total, active = runs.parameters.iloc[0], runs.active_parameters.iloc[0]
    return f"{total:,}" if active == total else f"{total:,} ({active:,} active)"
