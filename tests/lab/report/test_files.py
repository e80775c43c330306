"""A report is made from files alone, and its numbers are those of the files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError
from jamba_rl.lab.report import make_report, make_study
from tests.conftest import Outcome
from tests.lab.report.runs import report, words_of, write_run


def test_the_final_score_is_the_mean_of_the_last_tenth_of_evaluations(results: Path) -> None:
    final = make_study(results).scores.set_index(["agent", "seed"]).final
    assert final["ppo-jamba", 0] == -150.0
    assert final["ppo-jamba", 1] == -151.0
    assert final["ppo-mlp", 0] == -1000.0


def test_everything_that_is_promised_is_written(results: Path) -> None:
    report(results)
    files = {path.relative_to(results).as_posix() for path in results.rglob("*") if path.is_file()}
    figures = {f"figures/{name}.{kind}" for name in ("pendulum-p", "pendulum-p-final") for kind in ("svg", "png")}
    tables = {"report.md", "report.html", "scores.csv", "curves.csv", "config.yaml", "provenance.json"}
    assert tables | figures <= files


def test_scores_have_a_row_per_run(results: Path) -> None:
    report(results)
    scores = pd.read_csv(results / "scores.csv")
    assert list(scores.columns)[:7] == ["agent", "env", "seed", "steps", "final", "normalised", "parameters"]
    row = scores[(scores.agent == "ppo-jamba") & (scores.seed == 1)].iloc[0]
    assert (row.steps, row.final, row.parameters, row.peak) == (20_000, -151.0, 123, -101.0)
    # random actions get -1230 on the sighted pendulum, SAC -157
    assert row.normalised == pytest.approx((1230 - 151) / (1230 - 157))


def test_curves_are_tidy_and_complete(results: Path) -> None:
    report(results)
    curves = pd.read_csv(results / "curves.csv")
    assert list(curves.columns) == ["agent", "env", "seed", "step", "metric", "value"]
    part = curves[(curves.agent == "ppo-jamba") & (curves.seed == 1) & (curves.metric == "mean_reward")]
    assert part.step.tolist() == list(range(1000, 21000, 1000))
    assert part.value.tolist()[-1] == -101.0


def test_the_report_shows_every_agent_and_a_figure_that_is_there(results: Path) -> None:
    text = report(results).read_text()
    assert "| pendulum-p | ppo-jamba | 2 | 20,000 | **-150** |" in text
    assert "| pendulum-p | ppo-mlp | 1 |" in text
    assert "(figures/pendulum-p.svg)" in text
    assert "<svg" in (results / "figures/pendulum-p.svg").read_text()
    assert (results / "figures/pendulum-p.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_runs_give_the_same_files_wherever_they_lie(results: Path, tmp_path_factory) -> None:
    def contents(folder: Path) -> dict[str, bytes]:
        report(folder)
        files = (path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

    write_run(results / "runs/twin", "ppo-mlp", 0, [-1.0])
    write_run(results / "runs/mlp-1", "ppo-mlp", 1, [-1.0])
    elsewhere = tmp_path_factory.mktemp("elsewhere") / results.name
    shutil.copytree(results, elsewhere)
    assert contents(results) == contents(results) == contents(elsewhere)


def test_the_resolved_config_of_every_agent_is_kept(results: Path) -> None:
    report(results)
    config = catalogue.load(results / "config.yaml")["runs"]["pendulum-p"]["ppo-jamba"]
    assert config["seeds"] == [0, 1]
    assert config["agent"]["network"] == {"pattern": "MA"}
    found = json.loads((results / "provenance.json").read_text())
    assert found["configs"]["pendulum-p"]["ppo-jamba"] == config
    assert found["commits"] == {"0123456789": 3}
    assert found["versions"] == {"torch": ["2.13.0"]}


def test_commands_tell_no_folders_of_a_machine(results: Path) -> None:
    there = results.absolute()
    starts = [
        {"command": f"jamba-rl {command}"}
        for command in (f"train --out {there}/runs/mlp-0", f"x {there} --y", "z --out=/a/b/c d/e")
    ]
    starts.append({"command": "__main__.py train"})
    (results / "runs/mlp-0/provenance.json").write_text(json.dumps(starts))
    report(results)
    commands = json.loads((results / "provenance.json").read_text())["commands"]
    short = f"{there.parent.name}/{there.name}"
    assert set(commands) >= {
        f"jamba-rl train --out {short}/runs/mlp-0",
        f"jamba-rl x {short} --y",
        "jamba-rl z --out=c d/e",
        "python -m jamba_rl train",
    }


def test_the_config_of_an_experiment_stays_as_it_is(results: Path) -> None:
    config = "description: Two agents\ngrids: []\n"
    (results / "config.yaml").write_text(config)
    text = report(results).read_text()
    assert (results / "config.yaml").read_text() == config
    assert "Two agents. 3 runs" in text


def test_an_env_with_a_namespace_has_a_figure(tmp_path: Path) -> None:
    write_run(tmp_path / "runs/1", "ppo-mlp", 0, [-1.0], env="module:space/Env-v0")
    text = report(tmp_path).read_text()
    assert "| module:space/Env-v0 |" in text
    assert "![module:space/Env-v0](figures/module-space-Env-v0.svg)" in text
    assert (tmp_path / "figures/module-space-Env-v0.svg").exists()


def test_figures_of_what_is_there_no_more_go(results: Path) -> None:
    run = write_run(results / "runs/1", "ppo-mlp", 0, [-1.0], env="other")
    report(results)
    assert (results / "figures/other.png").exists()
    (results / "figures/notes.txt").write_text("mine")
    shutil.rmtree(run)
    report(results)
    left = {path.stem for path in (results / "figures").iterdir()}
    assert left == {"pendulum-p", "pendulum-p-final", "notes"}


@pytest.mark.parametrize("name", ["figures", "report.md"])
def test_what_cannot_be_written_is_named(results: Path, name: str) -> None:
    (results / name).write_text("") if name == "figures" else (results / name).mkdir()
    with pytest.raises(UserError, match=f"cannot write .*{name}"):
        report(results)


def test_nothing_to_report_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no finished run under"):
        report(tmp_path)


def test_costs_are_reported_where_runs_know_them(results: Path) -> None:
    assert "| pendulum-p | ppo-mlp | 123 | 4,000 | – | – |" in words_of(results)  # noqa: RUF001
    write_run(results / "runs/gru", "ppo-gru", 0, [-1.0], result={"predict_ms": 0.4321, "peak_memory_mb": 400.4})
    assert "| pendulum-p | ppo-gru | 123 | 4,000 | 0.432 | 400 |" in words_of(results)


def test_experts_have_two_sizes(results: Path) -> None:
    write_run(results / "runs/moe", "ppo-jamba-moe", 0, [-1.0], result={"parameters": 9000, "active_parameters": 4000})
    assert "| 9,000 (4,000 active) |" in words_of(results)


def test_the_command_prints_what_became_of_expectations(results: Path, cli: Callable[..., Outcome]) -> None:
    write_run(results / "runs/ssm-0", "ppo-ssm", 0, [-500.0] * 20)
    done = cli("report", str(results))
    assert (done.code, done.err) == (0, "")
    assert "expected  pendulum-p: ppo-jamba against ppo-ssm, final reward +48%" in done.out
    assert "expected +20 to +36%: undecided at 1 seed" in done.out
    assert f"written   {results / 'report.html'}" in done.out


def test_verdicts_of_a_report_are_those_that_it_shows(results: Path) -> None:
    written = make_report(results)
    assert written.verdicts == ()  # there is no simple state space model
    assert "Not tested here" in written.markdown.read_text()
