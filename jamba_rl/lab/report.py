"""From run folders to tables and figures: reads files only, knows nothing of training."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError

KEYS = ["env", "agent", "seed"]
FINAL_SHARE = 0.1  # of a run's evaluations: the last tenth makes its final score


def report(results: Path) -> Path:
    """Write what came out of an experiment beside its runs.

    Reads every run under ``results/runs`` and writes ``curves.csv`` (tidy:
    agent,env,seed,step,metric,value), ``scores.csv`` (one row per run), ``report.md`` and a figure
    of learning curves per env.

    :param results: the experiment's folder
    :return: the report
    :raises UserError: if there is no run with an evaluation
    """
    curves, scores = read_runs(results / "runs")
    curves.to_csv(results / "curves.csv", index=False)
    scores.to_csv(results / "scores.csv", index=False)
    figures = results / "figures"
    figures.mkdir(exist_ok=True)
    for env, part in curves[curves.metric == "mean_reward"].groupby("env"):
        draw(part, str(env), figures / f"{env}.svg")
    text = f"# {results.resolve().name}\n\n{_explain(scores)}\n\n{_table(scores)}\n\n"
    text += "\n".join(f"![{env}](figures/{env}.svg)" for env in sorted(set(scores.env))) + "\n"
    (results / "report.md").write_text(text)
    return results / "report.md"


def read_runs(root: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Curves and scores of all runs under a folder.

    The final score of a run is the mean of the last tenth of its evaluations, never the best one.
    """
    curves, scores = [], []
    for config_path in sorted(root.rglob("config.yaml")):
        folder, config = config_path.parent, catalogue.load(config_path)
        who = {"agent": config["agent"]["name"], "env": config["task"]["name"], "seed": config["seed"]}
        if not (folder / "result.json").exists():
            continue
        evaluations = pd.read_csv(folder / "evaluations.csv").sort_values("step")
        result = json.loads((folder / "result.json").read_text())
        last = evaluations.tail(max(1, round(len(evaluations) * FINAL_SHARE)))
        numbers = {"steps": result["step"], "final": last.mean_reward.mean(), "parameters": result["parameters"]}
        numbers["active_parameters"] = result.get("active_parameters", result["parameters"])
        scores.append(who | numbers | {"steps_per_second": result["steps_per_second"]})
        metrics = evaluations.drop(columns=["seed"]).melt("step", var_name="metric", value_name="value")
        curves.append(metrics.assign(**who)[["agent", "env", "seed", "step", "metric", "value"]])
    if not scores:
        raise UserError(f"no finished run under {root}")
    return pd.concat(curves, ignore_index=True), pd.DataFrame(scores).sort_values(KEYS, ignore_index=True)


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
