"""A report is made from files alone, and its numbers are those of the files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError
from jamba_rl.lab.report import read_runs, report
from tests.conftest import Outcome

PROTOCOL = {"steps": 20_000, "ppo": {"gamma": 0.9}, "sac": {"gamma": 0.9}}
CONFIG = {
    "task": {"name": "pendulum-p", "description": "", "kwargs": {"g": 9.8}, "protocol": PROTOCOL},
    "agent": {"algorithm": "ppo", "network": {"pattern": "MA"}},
}


def write_run(
    folder: Path, agent: str, seed: int, returns: list[float], finished: bool = True, over: dict[str, Any] | None = None
) -> None:
    folder.mkdir(parents=True)
    config = catalogue.merge(CONFIG, {"agent": {"name": agent}, "seed": seed, "device": "cpu"})
    catalogue.dump(catalogue.merge(config, over or {}), folder / "config.yaml")
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


def test_a_seed_counts_once(results: Path) -> None:
    write_run(results / "runs/twin", "ppo-mlp", 0, [-1.0])
    before = sorted(results.rglob("*"))
    with pytest.raises(UserError, match=r"mlp-0 and .*twin are both agent 'ppo-mlp' on env 'pendulum-p' with seed 0; "):
        report(results)
    assert sorted(results.rglob("*")) == before


def task(**keys: object) -> dict[str, Any]:
    return {"task": keys}


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"agent": {"network": {"pattern": "LL"}}}, "agent.network.pattern is 'MA' in one and 'LL' in the other; move"),
        ({"agent": {"algorithm": "sb3-ppo"}}, "agent.algorithm is 'ppo' in one and 'sb3-ppo' in the other"),
        (task(protocol={"steps": 5}), "task.protocol.steps is 20000 in one and 5 in the other"),
        (task(protocol={"ppo": {"gamma": 0.5}}), "task.protocol.ppo.gamma is 0.9 in one and 0.5 in the other"),
        (task(kwargs={"g": 9.8, "h": 1}), "task.kwargs is"),
    ],
)
def test_runs_of_one_name_that_are_not_the_same_are_not_averaged(
    results: Path, over: dict[str, Any], said: str
) -> None:
    write_run(results / "runs/other", "ppo-jamba", 5, [-1.0], over=over)
    with pytest.raises(UserError) as raised:
        report(results)
    assert f"jamba-0 and {results / 'runs/other'} are both agent 'ppo-jamba' on env 'pendulum-p', but {said}" in str(
        raised.value
    )


@pytest.mark.parametrize(
    "over",
    [
        {"device": "cuda"},
        task(description="in other words", sighted="pendulum"),
        task(protocol={"sac": {"gamma": 0.5}}),  # which no PPO goes by
        {"agent": {"description": "in other words", "a younger key": 1}},
    ],
)
def test_what_does_not_count_may_differ(results: Path, over: dict[str, Any]) -> None:
    write_run(results / "runs/other", "ppo-jamba", 5, [-1.0], over=over)
    assert "| pendulum-p | ppo-jamba | 3 |" in report(results).read_text()


def test_an_env_with_a_namespace_has_a_figure(tmp_path: Path) -> None:
    write_run(tmp_path / "runs/1", "ppo-mlp", 0, [-1.0], over=task(name="module:space/Env-v0"))
    text = report(tmp_path).read_text()
    assert "| module:space/Env-v0 |" in text
    assert "![module:space/Env-v0](figures/module-space-Env-v0.svg)" in text
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["module-space-Env-v0.svg"]


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("config.yaml", "task: {name: a}\nseed: 0\n", "config.yaml: key 'agent' is missing"),
        ("config.yaml", "task: {name: a}\nseed: 0\nagent: 3\n", "config.yaml: agent: "),
        ("result.json", "{", "result.json is no JSON"),
        ("result.json", '{"step": 1, "steps_per_second": 1}', "result.json: key 'parameters' is missing"),
        ("evaluations.csv", None, "evaluations.csv is missing or has no rows"),
        ("evaluations.csv", "step,mean_reward\n", "evaluations.csv is missing or has no rows"),
        ("evaluations.csv", "mean_reward\n1\n", "evaluations.csv has no column 'step'"),
        ("evaluations.csv", "step,mean_reward\n1,much\n", "mean_reward must be a number, was 'much'"),
        ("evaluations.csv", "step,mean_reward\n1,2\n1,3\n", "evaluations.csv has two rows of one step"),
    ],
)
def test_a_damaged_run_is_one_line_and_nothing_is_written(
    results: Path, cli: Callable[..., Outcome], file: str, content: str | None, said: str
) -> None:
    path = results / "runs/jamba-1" / file
    path.unlink()
    if content is not None:
        path.write_text(content)
    before = sorted(results.rglob("*"))
    done = cli("report", str(results))
    assert (done.code, done.out) == (2, "")
    assert f"runs/jamba-1/{said}" in done.err or f"runs/jamba-1/{file}: {said}" in done.err
    assert len(done.err.splitlines()) == 1
    assert sorted(results.rglob("*")) == before
