"""A damaged run fails by itself: it is named with the reason, and the others go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jamba_rl import catalogue
from jamba_rl.lab.experiment.compare import measure_sizes
from jamba_rl.lab.experiment.damage import damage
from jamba_rl.lab.experiment.jobs import Job
from jamba_rl.lab.experiment.schedule import run_jobs
from tests.conftest import Outcome
from tests.lab.experiment.grids import jobs_of
from tests.lab.experiment.test_schedule import FakeLauncher, nothing

CONFIG = {"agents": ["ppo-mlp"], "probes": [{"name": "no-memory", "memory": False}]}


def cut_short(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def test_damaged_runs_are_named_and_the_others_go_on(cli: Callable[..., Outcome], tmp_path: Path) -> None:
    jobs = jobs_of(Path("mine.yaml"), Path("out"), **CONFIG, seeds=[100, 101, 102, 103])
    assert cli("benchmark", "mine.yaml", "--out", "out").code == 0
    whole, config, result, table = (job.folder for job in jobs)
    (whole / "probes.csv").write_text("probe,mean_reward\nplain,3\n")
    cut_short(config / "config.yaml")
    (result / "result.json").write_text("")
    (table / "evaluations.csv").write_text("step,seed\n256,103\n")
    done = cli("benchmark", "mine.yaml", "--out", "out")
    assert done.code == 1
    assert "1 of 4 are done" in done.out
    assert "failed    pendulum-p ppo-mlp 101: " in done.out
    assert f"failed    pendulum-p ppo-mlp 102: {result}/result.json is no JSON" in done.out
    assert f"failed    pendulum-p ppo-mlp 103: {table}/evaluations.csv has no column 'mean_reward'; move" in done.out
    assert "| pendulum-p | ppo-mlp | 1 |" in (tmp_path / "out/report.md").read_text()
    assert (whole / "probes.csv").read_text().count("\n") == 3  # it was put to its probes again


def test_a_run_that_only_the_report_finds_wrong_costs_the_exit_code(cli: Callable[..., Outcome]) -> None:
    (job,) = jobs_of(Path("mine.yaml"), Path("out"), agents=["ppo-mlp"], seeds=[100])
    assert cli("benchmark", "mine.yaml", "--out", "out").code == 0
    odd = job.folder.with_name("101")  # of no job, but there
    odd.mkdir()
    (odd / "result.json").write_text("")
    assert cli("benchmark", "mine.yaml", "--out", "out").code == 1


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    monkeypatch.setattr("jamba_rl.lab.experiment.schedule.LOOK_SECONDS", 0.0)
    return jobs_of(tmp_path / "mine.yaml", tmp_path, agents=["ppo-mlp"])


def write_run(job: Job) -> None:
    job.folder.mkdir(parents=True)
    catalogue.dump(job.config.model_dump(mode="json"), job.folder / "config.yaml")


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9])
def test_a_config_that_was_cut_anywhere_fails_one_run(jobs: list[Job], tmp_path: Path, share: float) -> None:
    write_run(jobs[0])
    path = jobs[0].folder / "config.yaml"
    path.write_text(path.read_text()[: int(share * len(path.read_text()))])
    assert jobs_of(tmp_path / "mine.yaml", tmp_path, agents=["ppo-mlp"]) == jobs  # the grid is not refused
    launcher = FakeLauncher()
    progress = run_jobs(jobs, launcher, nothing)
    assert list(progress.failed) == [jobs[0]]
    assert f"move {jobs[0].folder} away" in (jobs[0].folder / "error.txt").read_text()
    assert launcher.started == [jobs[1].name]


def test_a_run_that_was_cut_off_in_its_training_is_not_damaged(jobs: list[Job]) -> None:
    assert damage(jobs[0].folder) == ""
    write_run(jobs[0])
    assert damage(jobs[0].folder) == ""


def test_sizes_do_not_need_a_result_that_is_damaged(jobs: list[Job]) -> None:
    sizes = measure_sizes(jobs)
    write_run(jobs[1])
    (jobs[1].folder / "result.json").write_text("{")
    assert measure_sizes(jobs) == sizes
