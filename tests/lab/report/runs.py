"""Runs as they lie on disk, made up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jamba_rl import catalogue
from jamba_rl.lab.report import make_report, make_study, name_left_out
from jamba_rl.lab.report.compose import compose
from jamba_rl.lab.report.markdown import markdown

PROTOCOL = {"steps": 20_000, "stepping": "in-process", "ppo": {"gamma": 0.9}, "sac": {"gamma": 0.9}}
CONFIG = {
    "task": {"name": "pendulum-p", "description": "", "kwargs": {"g": 9.8}, "protocol": PROTOCOL},
    "agent": {"algorithm": "ppo", "network": {"pattern": "MA"}},
}
START = {
    "command": "jamba-rl train",
    "versions": {"torch": "2.13.0"},
    "git": {"commit": "0123456789abcdef", "dirty": False},
    "cpu": "a processor",
    "cpu_count": 2,
    "threads": 1,
}


def write_run(
    folder: Path,
    agent: str,
    seed: int,
    returns: Sequence[float],
    *,
    env: str = "pendulum-p",
    finished: bool = True,
    over: dict[str, Any] | None = None,
    result: dict[str, Any] | None = None,
) -> Path:
    """Write a run that was evaluated every 1000 steps.

    :param over: goes over its config
    :param result: goes over its result
    """
    folder.mkdir(parents=True)
    algorithm = agent.partition("-")[0] if agent.partition("-")[0] in ("ppo", "sac") else "ppo"
    who = {"agent": {"name": agent, "algorithm": algorithm}, "task": {"name": env}, "seed": seed, "device": "cpu"}
    catalogue.dump(catalogue.merge(catalogue.merge(CONFIG, who), over or {}), folder / "config.yaml")
    rows = [f"{1000 * (i + 1)},{seed},{value},1.0,200.0,10" for i, value in enumerate(returns)]
    header = "step,seed,mean_reward,std_reward,mean_length,episodes"
    (folder / "evaluations.csv").write_text("\n".join([header, *rows]) + "\n")
    (folder / "provenance.json").write_text(json.dumps([START]))
    if finished:
        made = {"step": 1000 * len(returns), "parameters": 123, "steps_per_second": 4000.0}
        (folder / "result.json").write_text(json.dumps(made | (result or {})))
    return folder


def flat(runs: Path, agent: str, env: str, scores: Sequence[float], **kwargs: Any) -> None:
    """Write a run per score, whose evaluations all have it."""
    for seed, score in enumerate(scores):
        write_run(runs / env / agent / str(seed), agent, seed, [score] * 10, env=env, **kwargs)


def grid(
    runs: Path,
    agents: Sequence[str],
    envs: Sequence[str],
    seeds: int,
    evaluations: int,
    *,
    sighted: str | None = None,
    scale: float = 1.0,
) -> None:
    """Write learning curves: the agents further behind learn less.

    :param sighted: the envs' twin that shows everything
    :param scale: of what there is to learn
    """
    rng = np.random.default_rng(0)
    rise = 1 - np.exp(-np.linspace(0, 4, evaluations))
    over = {"task": {"sighted": sighted, "reference": {"random": 20.0, "score": 2000.0, "source": "made up"}}}
    for env in envs:
        for place, agent in enumerate(agents):
            for seed in range(seeds):
                height = rng.normal(1800 - 200 * place, 120)
                returns = 20 + scale * (rise * height + rng.normal(0, 60, evaluations))
                write_run(runs / env / agent / str(seed), agent, seed, returns.tolist(), env=env, over=over)


def words_of(results: Path) -> str:
    """What a report says, without its files."""
    return markdown(compose(make_study(results)))


def report(results: Path) -> Path:
    """Write a report and say what is left out, as the command does; its text."""
    written = make_report(results)
    name_left_out(written)
    return written.markdown
