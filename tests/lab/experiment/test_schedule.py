from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from jamba_rl.lab.experiment.jobs import Job
from jamba_rl.lab.experiment.launch import End
from jamba_rl.lab.experiment.schedule import Progress, run_jobs
from tests.lab.experiment.grids import jobs_of


class FakeRun:
    """Ends after so many looks, in its own way."""

    def __init__(self, job: Job, looks: int, end: Callable[[Job], End]) -> None:
        self.job, self.looks, self.end = job, looks, end
        self.stopped = self.killed = False

    def poll(self) -> End | None:
        self.looks -= 1
        return self.end(self.job) if self.looks < 0 or self.stopped else None

    def stop(self) -> None:
        assert not self.stopped, "who is told twice aborts"
        self.stopped = True

    def kill(self) -> None:
        self.killed = True


class FakeLauncher:
    def __init__(self, ends: dict[str, list[Callable[[Job], End]]] | None = None, workers: int = 2, looks: int = 2):
        self.workers, self.ends, self.looks = workers, ends or {}, looks
        self.started: list[str] = []
        self.runs: list[FakeRun] = []

    def start(self, job: Job) -> FakeRun:
        self.started.append(job.name)
        ends = self.ends.get(job.name, [])
        self.runs.append(FakeRun(job, self.looks, ends.pop(0) if ends else finished))
        return self.runs[-1]

    def close(self) -> None: ...


def finished(job: Job) -> End:
    job.folder.mkdir(parents=True, exist_ok=True)
    (job.folder / "result.json").write_text(json.dumps({"step": 256}))
    return End("")


def failed(job: Job) -> End:
    return End("Traceback\n")


def lost(job: Job) -> End:
    return End("the node is gone\n", lost=True)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jamba_rl.lab.experiment.schedule.LOOK_SECONDS", 0.0)


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    return jobs_of(tmp_path / "mine.yaml", tmp_path)


def nothing(progress: Progress) -> None: ...


def test_no_more_than_so_many_work_at_a_time(jobs: list[Job]) -> None:
    launcher, most = FakeLauncher(workers=3), []
    progress = run_jobs(jobs, launcher, lambda progress: most.append(len(progress.active)))
    assert max(most) == 3
    assert launcher.started == [job.name for job in jobs]
    assert not progress.failed


def test_what_is_done_is_not_done_again(jobs: list[Job]) -> None:
    finished(jobs[1])
    launcher = FakeLauncher()
    run_jobs(jobs, launcher, nothing)
    assert launcher.started == [job.name for job in jobs if job != jobs[1]]


def test_the_others_go_on_when_one_fails(jobs: list[Job]) -> None:
    progress = run_jobs(jobs, FakeLauncher({jobs[0].name: [failed]}), nothing)
    assert progress.failed == {jobs[0]: "Traceback\n"}
    assert (jobs[0].folder / "error.txt").read_text() == "Traceback\n"
    assert [job.done for job in jobs] == [False, True, True, True]


def test_a_worker_that_cannot_be_started_or_read_costs_its_run_alone(jobs: list[Job]) -> None:
    def full(job: Job) -> End:
        raise OSError(28, "No space left on device")

    class Launcher(FakeLauncher):
        def start(self, job: Job) -> FakeRun:
            if job == jobs[0]:
                raise BlockingIOError(11, "Resource temporarily unavailable")
            return super().start(job)

    launcher = Launcher({jobs[1].name: [full]})
    progress = run_jobs(jobs, launcher, nothing)
    assert [job.done for job in jobs] == [False, False, True, True]
    assert progress.failed[jobs[0]] == "[Errno 11] Resource temporarily unavailable\n"
    assert progress.failed[jobs[1]] == "[Errno 28] No space left on device\n"
    assert [run.killed for run in launcher.runs] == [True, False, False]


def test_a_lost_worker_is_replaced_but_not_for_ever(jobs: list[Job]) -> None:
    launcher = FakeLauncher({jobs[0].name: [lost] * 4, jobs[1].name: [lost] * 9})
    progress = run_jobs(jobs, launcher, nothing)
    assert launcher.started.count(jobs[0].name) == 5
    assert launcher.started.count(jobs[1].name) == 5
    assert list(progress.failed) == [jobs[1]]


def test_an_interrupt_lets_workers_end_and_starts_no_more(jobs: list[Job]) -> None:
    launcher = FakeLauncher({job.name: [failed] for job in jobs}, looks=10)

    def interrupt(progress: Progress) -> None:
        if progress.active and not progress.interrupted:
            os.kill(os.getpid(), signal.SIGINT)

    progress = run_jobs(jobs, launcher, interrupt)
    assert progress.interrupted
    assert len(launcher.started) == 2
    assert all(run.stopped and not run.killed for run in launcher.runs)
    assert not progress.failed  # they were asked to end
    assert len(progress.waiting) == 4


def test_a_second_interrupt_does_not_wait(jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeRun, "stop", lambda run: None)  # a worker that does not listen
    launcher = FakeLauncher(looks=10**9)

    def interrupt(progress: Progress) -> None:
        if progress.interrupted < 2:
            os.kill(os.getpid(), signal.SIGTERM)

    progress = run_jobs(jobs, launcher, interrupt)
    assert progress.interrupted == 2
    assert all(run.killed for run in launcher.runs)


def test_no_worker_outlives_an_error_of_ours(jobs: list[Job]) -> None:
    launcher = FakeLauncher(looks=10**9)

    def broken(progress: Progress) -> None:
        raise RuntimeError("no terminal")

    with pytest.raises(RuntimeError, match="no terminal"):
        run_jobs(jobs, launcher, broken)
    assert len(launcher.runs) == 2
    assert all(run.killed for run in launcher.runs)


def waiting_for(path: Path) -> list[Job]:
    """A run that stands before the one that it starts from."""
    start = {"name": "mine", "from": "ppo-mlp", "start": "pendulum"}
    grids = [{"agents": [start]}, {"agents": ["ppo-mlp"], "envs": ["pendulum"]}]
    return jobs_of(path / "mine.yaml", path, grids=grids, seeds=[3])


def test_a_run_waits_for_the_one_that_it_starts_from(tmp_path: Path) -> None:
    launcher = FakeLauncher()
    progress = run_jobs(waiting_for(tmp_path), launcher, nothing)
    assert launcher.started == ["pendulum ppo-mlp 3", "pendulum-p mine 3"]
    assert not progress.failed
    assert len(launcher.runs) == 2


def test_a_run_fails_with_the_one_that_it_starts_from(tmp_path: Path) -> None:
    mine, source = waiting_for(tmp_path)
    launcher = FakeLauncher({source.name: [failed]})
    progress = run_jobs([mine, source], launcher, nothing)
    assert launcher.started == [source.name]
    assert progress.failed[mine] == f"the run that it starts from failed: {source.folder}\n"
    assert (mine.folder / "error.txt").exists()
    again = run_jobs(waiting_for(tmp_path), FakeLauncher(), nothing)
    assert not again.failed
