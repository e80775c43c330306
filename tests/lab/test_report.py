"""A report is made from files alone, and its numbers are those of the files."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError
from jamba_rl.lab.report import read_runs, report


def write_run(folder: Path, agent: str, seed: int, returns: list[float], finished: bool = True) -> None:
    folder.mkdir(parents=True)
    config = {"agent": {"name": agent}, "task": {"name": "pendulum-p"}, "seed": seed}
    catalogue.dump(config, folder / "config.yaml")
    rows = [f"{1000 * (i + 1)},{seed},{value},1.0,200.0,10" for i, value in enumerate(returns)]
    header = "step,seed,mean_reward,std_reward,mean_length,episodes"
    (folder / "evaluations.csv").write_text("\n".join([header, *rows]) + "\n")
    if finished:
        result = {"step": 1000 * len(returns), "parameters": 123, "steps_per_second": 4000.0}
        (folder / "result.json").write_text(json.dumps(result))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for seed in (0, 1):
        write_run(tmp_path / f"runs/jamba-{seed}", "ppo-jamba", seed, [-900.0] * 18 + [-200.0 - seed, -100.0 - seed])
    write_run(tmp_path / "runs/mlp-0", "ppo-mlp", 0, [-1000.0])
    write_run(tmp_path / "runs/cut", "ppo-mlp", 1, [-5.0], finished=False)
    return tmp_path


def test_the_final_score_is_the_mean_of_the_last_tenth_of_evaluations(results: Path) -> None:
    _, scores = read_runs(results / "runs")
    final = scores.set_index(["agent", "seed"]).final
    assert final["ppo-jamba", 0] == -150.0
    assert final["ppo-jamba", 1] == -151.0
    assert final["ppo-mlp", 0] == -1000.0


def test_unfinished_runs_do_not_count(results: Path) -> None:
    _, scores = read_runs(results / "runs")
    assert len(scores) == 3


def test_curves_are_tidy_and_complete(results: Path) -> None:
    report(results)
    curves = pd.read_csv(results / "curves.csv")
    assert list(curves.columns) == ["agent", "env", "seed", "step", "metric", "value"]
    part = curves[(curves.agent == "ppo-jamba") & (curves.seed == 1) & (curves.metric == "mean_reward")]
    assert part.step.tolist() == list(range(1000, 21000, 1000))
    assert part.value.tolist()[-1] == -101.0


def test_the_report_shows_every_agent_and_a_figure_that_is_there(results: Path) -> None:
    text = report(results).read_text()
    assert "| pendulum-p | ppo-jamba | 2 | 20,000 | -150 | 0 | -151 | -150 | 123 |" in text
    assert "| pendulum-p | ppo-mlp | 1 |" in text
    assert "(figures/pendulum-p.svg)" in text
    assert "<svg" in (results / "figures/pendulum-p.svg").read_text()


def test_the_same_runs_give_the_same_files(results: Path) -> None:
    def contents() -> dict[str, str]:
        report(results)
        return {path.name: path.read_text() for path in results.rglob("*") if path.suffix in (".md", ".csv", ".svg")}

    assert contents() == contents()


def test_nothing_to_report_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no finished run under"):
        report(tmp_path)
