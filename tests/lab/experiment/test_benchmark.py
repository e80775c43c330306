"""Experiments from the command line to the report, whole and cut off."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from jamba_rl.lab.experiment.jobs import Job
from jamba_rl.lab.run import PROGRESS_STEP, Run
from jamba_rl.lab.train import train
from tests.conftest import Outcome
from tests.lab.experiment.grids import (
    check_whole,
    jobs_of,
    start,
    wait_for,
    wait_until_none_works_in,
    workers_in,
    write_config,
)

Cli = Callable[..., Outcome]


def everything_in(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def evaluations(job: Job) -> str:
    return (job.folder / "evaluations.csv").read_text()


def test_an_experiment_is_trained_and_reported_and_never_twice(cli: Cli, tmp_path: Path) -> None:
    jobs = jobs_of(Path("mine.yaml"), Path("results/mine"))
    done = cli("benchmark", "mine.yaml", "--workers", "2")
    assert done.code == 0, done.err
    assert "4 of 4 are done" in done.out
    assert "done: pendulum-p ppo-jamba 100, return -" in done.err
    for job in jobs:
        check_whole(Run.open(job.folder), steps=256)
    results = tmp_path / "results/mine"
    assert {"report.md", "scores.csv", "curves.csv", "config.yaml", "comparison.json"} <= set(os.listdir(results))
    (start_of_run,) = json.loads((jobs[0].folder / "provenance.json").read_text())
    assert start_of_run["threads"] == 1
    # what a worker trains is what `train` does
    assert evaluations(jobs[0]) == train(jobs[0].config, tmp_path / "alone").run.evaluations.path.read_text()

    runs = everything_in(results / "runs")
    assert cli("benchmark", "mine.yaml").code == 0
    assert everything_in(results / "runs") == runs


FAILING = """
import gymnasium
from gymnasium.envs.classic_control.pendulum import PendulumEnv

class Failing(PendulumEnv):
    def reset(self, *, seed=None, options=None):
        self.fails = {fails} and (seed == 101 or getattr(self, "fails", False))
        return super().reset(seed=seed, options=options)

    def step(self, action):
        if self.fails:
            raise RuntimeError("the motor is broken")
        return super().step(action)

gymnasium.register("Failing-v0", Failing, max_episode_steps=50)
"""


def test_the_others_go_on_when_a_run_fails_and_it_is_tried_again(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    Path("failing.py").write_text(FAILING.replace("{fails}", "True"))
    options = {"envs": ["failing:Failing-v0"], "agents": ["ppo-mlp"], "protocol": {"ppo": {"n_envs": 1}}}
    bad, good = jobs_of(Path("mine.yaml"), Path("out"), **options, seeds=[101, 300])
    done = cli("benchmark", "mine.yaml", "--out", "out", "--workers", "1")
    assert done.code == 1
    assert "failed    failing:Failing-v0 ppo-mlp 101: RuntimeError: the motor is broken" in done.out
    assert "1 of 2 are done" in done.out
    error = (bad.folder / "error.txt").read_text()
    assert "Traceback" in error
    assert "failing.py" in error
    assert good.done
    assert (tmp_path / "out/report.md").exists()

    Path("failing.py").write_text(FAILING.replace("{fails}", "False"))
    assert cli("benchmark", "mine.yaml", "--out", "out").code == 0
    assert bad.done
    assert not (bad.folder / "error.txt").exists()


LONG = {"protocol": {"steps": 6_400}, "seeds": [100, 101]}


def long_jobs(folder: Path) -> list[Job]:
    return jobs_of(folder / "mine.yaml", folder / "out", **LONG)


def some_have_two_checkpoints(jobs: list[Job]) -> bool:
    return sum(len(Run(job.folder).checkpoints()) >= 2 for job in jobs if not job.done) > 0


@pytest.mark.slow
def test_killed_at_any_moment_it_comes_to_the_same_end(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path / "mine.yaml", tmp_path / "out", protocol={"steps": 2_560})
    arguments = ("mine.yaml", "--out", "out", "--workers", "2")
    process = start(tmp_path, *arguments)
    wait_for(partial(some_have_two_checkpoints, jobs), process)
    done = [job for job in jobs if job.done]
    before = {job: everything_in(job.folder) for job in done}
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    wait_until_none_works_in(tmp_path)
    cut = [job for job in jobs if job.begun and not job.done]
    started = [job for job in cut if Run(job.folder).starts()]  # others were killed on their first lines
    assert any(Run(job.folder).checkpoints() for job in cut)
    finished = start(tmp_path, *arguments)
    _, err = finished.communicate(timeout=300)
    assert finished.returncode == 0, err
    assert {job: everything_in(job.folder) for job in done} == before
    for job in jobs:
        run = Run.open(job.folder)
        check_whole(run, steps=2_560)
        assert len(run.starts()) == (2 if job in started else 1)
    whole = next(job for job in reversed(jobs) if job not in cut)
    assert evaluations(whole) == train(whole.config, tmp_path / "alone").run.evaluations.path.read_text()


@pytest.mark.slow
def test_ctrl_c_writes_checkpoints_and_the_same_command_goes_on(tmp_path: Path) -> None:
    jobs = long_jobs(tmp_path)[:2]
    process = start(tmp_path, "mine.yaml", "--out", "out", "--workers", "2")
    wait_for(lambda: some_have_two_checkpoints(jobs), process)
    assert len(workers_in(tmp_path)) == 2
    second = start(tmp_path, "mine.yaml", "--out", "out")
    out, err = second.communicate(timeout=120)
    assert (second.returncode, out) == (2, "")
    assert err == "jamba-rl: another benchmark is at work in out\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "the same command again goes on" in out
    assert "Traceback" not in err
    assert not workers_in(tmp_path)
    for run in [Run(job.folder) for job in jobs if not job.done]:
        if run.checkpoints():  # of all that was learned, and not of the latest evaluation
            rollouts = [int(float(row[PROGRESS_STEP])) for row in run.progress.rows() if row["time/fps"]]
            assert run.checkpoints()[-1].step == rollouts[-1]
    assert not (tmp_path / "out/report.md").exists()


MISTAKES = [
    (["nowhere.yaml"], "no such file: nowhere.yaml"),
    (["smok"], "unknown config 'smok'; did you mean 'smoke'?"),
    (["mine.yaml", "--workers", "0"], "--workers must be at least 1, was 0"),
    (["mine.yaml", "--launcher", "rya"], "unknown launcher 'rya'; did you mean 'ray'?"),
    (["mine.yaml", "--address", "a:1"], "--address is of a Ray cluster"),
    (["mine.yaml", "--steps", "0"], "--steps must be at least 1"),
    (["mine.yaml", "--set", "batchsize=5"], "--set: unknown key 'batchsize'; did you mean 'batch_size'?"),
    (["mine.yaml", "--out", "mine.yaml"], "cannot make mine.yaml/runs"),
    (["bad.yaml"], "bad.yaml: envs.0: unknown env 'pendulm'; did you mean 'pendulum'?"),
    ([], "CONFIG"),
]


@pytest.mark.parametrize(("arguments", "said"), MISTAKES, ids=lambda value: str(value)[:40])
def test_a_mistake_is_one_line_and_touches_nothing(cli: Cli, arguments: list[str], said: str) -> None:
    write_config(Path("mine.yaml"), agents=["ppo-mlp"], seeds=1)
    write_config(Path("bad.yaml"), envs=["pendulm"])
    before = everything_in(Path())
    done = cli("benchmark", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert len(done.err.splitlines()) == 1, done.err
    assert everything_in(Path()) == before


@pytest.mark.slow
def test_the_smoke_config_runs(cli: Cli) -> None:
    assert cli("benchmark", "smoke").code == 0
    assert len(list(Path("results/smoke/runs").glob("*/*/*/result.json"))) == 8
