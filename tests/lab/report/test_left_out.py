"""A run that is damaged, or is not what it claims, is named, and all others are reported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from jamba_rl.lab.agent import ALGORITHMS
from jamba_rl.lab.report import make_study, schema
from tests.conftest import Outcome
from tests.lab.report.runs import report, words_of, write_run

RESULT = {"step": 20_000, "parameters": 1, "steps_per_second": 1.0}
DAMAGES = [
    ("config.yaml", None, "has no config.yaml"),
    ("config.yaml", "task: {", "config.yaml: line"),
    ("config.yaml", "task: {name: a}\nseed: 0\n", "config.yaml: key 'agent' is missing"),
    ("config.yaml", "task: {name: a}\nseed: 0\nagent: ppo-jamba\n", "config.yaml: agent: must be keys and values"),
    (
        "config.yaml",
        "task: {name: a}\nseed: 0\nagent: {name: a, algorithm: pppo}\n",
        "config.yaml: agent.algorithm: unknown algorithm 'pppo'; did you mean 'ppo'?",
    ),
    ("result.json", "{", "result.json is no JSON"),
    ("result.json", '{"step": 1, "steps_per_second": 1}', "result.json: key 'parameters' is missing"),
    *(
        ("result.json", json.dumps(RESULT | {key: value}), f"result.json: {key}: must be ")
        for key, value in {
            "parameters": 0,
            "active_parameters": 0,
            "steps_per_second": float("nan"),
            "predict_ms": float("inf"),
            "peak_memory_mb": -1.0,
            "step": 0,
        }.items()
    ),
    ("evaluations.csv", None, "evaluations.csv is missing or has no rows"),
    ("evaluations.csv", "step,mean_reward\n", "evaluations.csv is missing or has no rows"),
    ("evaluations.csv", "mean_reward\n1\n", "evaluations.csv has no column 'step'"),
    ("evaluations.csv", "step,std_reward\n1,1\n", "evaluations.csv has no column 'mean_reward'"),
    ("evaluations.csv", "step,mean_reward\n1,much\n", "evaluations.csv: mean_reward must be a number, was 'much'"),
    ("evaluations.csv", "step,mean_reward\n20000,nan\n", "evaluations.csv: step and mean_reward must be finite"),
    ("evaluations.csv", "step,mean_reward\n1,2\n1,3\n", "evaluations.csv has two rows of one step"),
    (
        "evaluations.csv",
        "step,mean_reward\n20000,-1e308\n",
        "evaluations.csv: step and mean_reward must be finite, and",
    ),
    (
        "evaluations.csv",
        "step,mean_reward\n1000,2\n2000,3\n",
        "evaluations.csv ends at step 2000, but result.json is of step 20000",
    ),
]


@pytest.mark.parametrize(("file", "content", "said"), DAMAGES)
def test_a_damaged_run_is_named_and_the_rest_is_reported(
    results: Path, file: str, content: str | None, said: str
) -> None:
    path = results / "runs/jamba-1" / file
    path.unlink()
    if content is not None:
        path.write_text(content)
    text = words_of(results)
    assert f"- `runs/jamba-1`: {said}" in text
    assert str(results) not in text
    assert "| pendulum-p | ppo-jamba | 1 |" in text


def test_the_command_names_what_is_left_out_in_a_line_and_goes_on(results: Path, cli: Callable[..., Outcome]) -> None:
    (results / "runs/jamba-1/evaluations.csv").write_text("step,std_reward\n1,1\n")
    done = cli("report", str(results))
    assert done.code == 0
    (line,) = done.err.splitlines()
    path = results / "runs/jamba-1/evaluations.csv"
    assert line == f"jamba-rl: left out: {path} has no column 'mean_reward'"
    assert "runs/jamba-1" in (results / "report.md").read_text()
    assert "runs/jamba-1" in (results / "report.html").read_text()


@pytest.mark.parametrize(("file", "content", "said"), DAMAGES[:1] + DAMAGES[-1:])
def test_where_nothing_is_left_that_is_one_line_and_nothing_is_written(
    tmp_path: Path, cli: Callable[..., Outcome], file: str, content: str | None, said: str
) -> None:
    run = write_run(tmp_path / "runs/jamba-1", "ppo-jamba", 1, [-1.0] * 20)
    (run / file).unlink()
    if content is not None:
        (run / file).write_text(content)
    before = sorted(tmp_path.rglob("*"))
    done = cli("report", str(tmp_path))
    assert (done.code, done.out) == (2, "")
    assert "no finished run under" in done.err
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_unfinished_runs_are_counted_and_named(results: Path, cli: Callable[..., Outcome]) -> None:
    write_run(results / "runs/cut", "ppo-mlp", 1, [-5.0, -4.0], finished=False)
    (results / "runs/barely").mkdir()
    done = cli("report", str(results))
    text = (results / "report.md").read_text()
    assert "- `runs/cut`: is not finished: last evaluated at step 2000" in text
    assert "- `runs/barely`: is empty" in text
    assert "left out: 1 not finished yet" in done.err
    assert len(make_study(results).scores) == 3


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [("config.yaml", "task: {name: a}\n", "key 'agent' is missing"), ("evaluations.csv", "a\n1\n", "no column 'step'")],
)
def test_an_unfinished_run_may_be_damaged_too(
    results: Path, cli: Callable[..., Outcome], file: str, content: str, said: str
) -> None:
    run = write_run(results / "runs/cut", "ppo-mlp", 1, [-5.0], finished=False)
    (run / file).write_text(content)
    done = cli("report", str(results))
    assert said in done.err
    assert "not finished" not in done.err


def test_of_one_run_and_another_neither_counts(results: Path) -> None:
    write_run(results / "runs/other", "ppo-mlp", 1, [-1.0], over={"agent": {"network": {"pattern": "LL"}}})
    study = make_study(results)
    assert study.agents == ["ppo-jamba"]
    assert {run.folder.name for run in study.left_out} == {"mlp-0", "other"}
    assert all("in one and 'LL' in the other; neither is reported" in run.reason for run in study.left_out)


def test_of_three_runs_of_one_seed_none_counts(results: Path) -> None:
    for name in ("twin", "triplet"):
        write_run(results / "runs" / name, "ppo-mlp", 0, [-1.0])
    text = words_of(results)
    assert (
        "runs/mlp-0, runs/triplet and runs/twin are all agent 'ppo-mlp' on env 'pendulum-p' with seed 0; none" in text
    )


def test_of_two_runs_of_one_seed_neither_counts(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(results / "runs/twin", "ppo-mlp", 0, [-1.0])
    write_run(results / "runs/mlp-1", "ppo-mlp", 1, [-7.0])
    text = report(results).read_text()
    assert "- `runs/mlp-0`: runs/mlp-0 and runs/twin are both agent 'ppo-mlp' on env 'pendulum-p' with seed 0;" in text
    assert "- `runs/twin`: runs/mlp-0 and runs/twin are both" in text
    assert "| pendulum-p | ppo-mlp | 1 |" in text
    assert len(capsys.readouterr().err.splitlines()) == 1


def task(**keys: object) -> dict[str, Any]:
    return {"task": keys}


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"agent": {"network": {"pattern": "LL"}}}, "agent.network.pattern is 'MA' in one and 'LL' in the other"),
        ({"agent": {"algorithm": "sb3-ppo"}}, "agent.algorithm is 'ppo' in one and 'sb3-ppo' in the other"),
        (task(protocol={"steps": 5}), "task.protocol.steps is 20000 in one and 5 in the other"),
        (task(protocol={"stepping": "envpool"}), "task.protocol.stepping is 'in-process' in one and 'envpool' in"),
        (task(protocol={"ppo": {"gamma": 0.5}}), "task.protocol.ppo.gamma is 0.9 in one and 0.5 in the other"),
        (task(kwargs={"g": 9.8, "h": 1}), "task.kwargs is"),
        (task(noise=0.5), "task.noise is 0.0 in one and 0.5 in the other"),  # which the others do not name
        ({"agent": {"network": {"decay_min": 0.01}}}, "agent.network.decay_min is None in one and 0.01 in the other"),
        ({"agent": {"ent_coef": 0.01}}, "task.protocol.ppo.ent_coef is 0.0 in one and 0.01 in the other"),
        ({"agent": {"some_key": 1}}, "agent.some_key is not there in one and 1 in the other"),
    ],
)
@pytest.mark.parametrize("name", ["a-other", "z-other"])
def test_runs_of_one_name_that_are_not_the_same_are_not_averaged(
    results: Path, over: dict[str, Any], said: str, name: str
) -> None:
    """The odd one is left out, wherever it stands among the others; those are two."""
    write_run(results / "runs" / name, "ppo-jamba", 5, [-1.0], over=over)
    text = words_of(results)
    assert f"- `runs/{name}`: runs/jamba-0 and runs/{name} are both agent 'ppo-jamba' on env 'pendulum-p', but" in text
    assert said in text
    assert "| pendulum-p | ppo-jamba | 2 |" in text


def test_an_odd_run_does_not_take_a_seed_from_one_of_the_others(results: Path) -> None:
    write_run(results / "runs/other", "ppo-jamba", 1, [-1.0], over={"agent": {"network": {"pattern": "LL"}}})
    assert make_study(results).scores.groupby("agent").size()["ppo-jamba"] == 2


@pytest.mark.parametrize(
    "over",
    [
        {"device": "cuda"},
        task(description="in other words", sighted="pendulum"),
        task(reference={"random": 1.0, "score": 2.0}),
        task(protocol={"sac": {"gamma": 0.5}}),  # which no PPO goes by
        {"agent": {"network": {"d_hidden": 5}}},  # which neither Mamba nor attention has
        {"agent": {"description": "in other words", "frames": 1, "network": {"decay_min": None}}},
        {"agent": {"n_epochs": 10, "vf_coef": 0.5}},  # there they stood once
    ],
)
def test_what_does_not_count_may_differ(results: Path, over: dict[str, Any]) -> None:
    write_run(results / "runs/other", "ppo-jamba", 5, [-1.0], over=over)
    assert "| pendulum-p | ppo-jamba | 3 |" in words_of(results)


def test_stepping_was_in_process_before_it_could_be_chosen(results: Path) -> None:
    run = write_run(results / "runs/old", "ppo-jamba", 5, [-1.0])
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("    stepping: in-process\n", ""))
    assert "stepping" not in (run / "config.yaml").read_text()
    assert len(make_study(results).left_out) == 0


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"start": {"env": "a"}}, "config.yaml: key 'start.agent' is missing"),
        ({"start": "x"}, "config.yaml: start: must be"),
        ({"stop": {"at": "high"}}, "config.yaml: stop.at: must be"),
        (task(reference={"random": float("nan")}), "config.yaml: task.reference.random: must be a finite number"),
        (task(reference={"random": 0.0, "score": float("inf")}), "config.yaml: task.reference.score: must be"),
        (task(protocol={"steps": 0}), "config.yaml: task.protocol.steps: must be"),
        (task(name="a" * 201), "config.yaml: task.name: "),
    ],
)
def test_a_config_that_makes_no_sense_costs_its_run_alone(results: Path, over: dict[str, Any], said: str) -> None:
    write_run(results / "runs/odd", "ppo-jamba", 5, [-1.0], over=over)
    report(results)
    assert f"- `runs/odd`: {said}" in (results / "report.md").read_text()


@pytest.mark.parametrize("column", ["value", "metric", "env", "agent", "level_0"])
def test_a_table_may_have_columns_of_any_name(results: Path, column: str) -> None:
    path = results / "runs/jamba-1/evaluations.csv"
    path.write_text(f"step,mean_reward,{column}\n1000,-5,1.5\n20000,-4,2.5\n")
    report(results)
    curves = pd.read_csv(results / "curves.csv").query("agent == 'ppo-jamba' and seed == 1 and metric == @column")
    assert curves.value.tolist() == [1.5, 2.5]


def test_seeds_that_share_no_step_have_no_curve(tmp_path: Path) -> None:
    write_run(tmp_path / "runs/0", "ppo-jamba", 0, [1.0], env="a")
    write_run(tmp_path / "runs/1", "ppo-jamba", 1, [1.0], env="a", result={"step": 1500})
    path = tmp_path / "runs/1/evaluations.csv"
    path.write_text(path.read_text().replace("\n1000,", "\n1500,"))
    text = report(tmp_path).read_text()
    assert "| a | ppo-jamba | 2 |" in text
    assert "(figures/a.svg)" not in text
    write_run(tmp_path / "runs/2", "ppo-mlp", 0, [1.0], env="a")
    assert "(figures/a.svg)" in report(tmp_path).read_text()


def test_damaged_provenance_costs_no_run(results: Path) -> None:
    (results / "runs/mlp-0/provenance.json").write_text("[")
    assert "1 run with no readable provenance.json" in words_of(results)
    assert len(make_study(results).scores) == 3


def test_the_algorithms_are_those_that_can_be_trained() -> None:
    assert set(schema.ALGORITHMS) == set(ALGORITHMS)
