from __future__ import annotations

import io
import json
from collections import deque
from pathlib import Path

import pytest
from rich.console import Console

from jamba_rl.lab.experiment.jobs import Job
from jamba_rl.lab.experiment.local import LocalRun
from jamba_rl.lab.experiment.schedule import Progress
from jamba_rl.lab.experiment.show import Lines, chosen, summary, table
from jamba_rl.lab.experiment.state import Overview, Row, Watcher
from jamba_rl.lab.run import Run
from tests.lab.experiment.grids import jobs_of


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    return jobs_of(tmp_path / "mine.yaml", tmp_path, seeds=3)


class Nobody:
    def poll(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...


def come_to(job: Job, step: int, score: float) -> None:
    run = Run(job.folder)
    job.folder.mkdir(parents=True, exist_ok=True)
    run.progress.append({"time/total_timesteps": step, "time/fps": 1})
    run.evaluations.append({"step": step, "mean_reward": score})


def finish(job: Job, speed: float = 64.0) -> None:
    come_to(job, 256, -7.0)
    (job.folder / "result.json").write_text(json.dumps({"step": 256, "steps_per_second": speed}))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_what_is_shown_is_read_from_the_runs(jobs: list[Job], clock: list[float]) -> None:
    watcher = Watcher(jobs, workers=2)
    first, second, third, *rest = jobs
    progress = Progress(deque([third, *rest]), {first: Nobody(), second: Nobody()})
    assert watcher.look(progress).seconds is None  # nobody knows yet
    clock[0] += 2
    come_to(first, 64, -100.0)
    overview = watcher.look(progress)
    row = overview.rows[0]
    assert (row.state, row.step, row.total, row.score, row.seconds) == ("active", 64, 256, -100.0, 6.0)  # 32 a second
    assert overview.rows[1].seconds is None
    # every run takes 8 s, the first has 6 to go: 46 s of work for two
    assert overview.seconds == pytest.approx(((6 + 8 + 8) / 3) * 6 / 2)
    finish(first)
    del progress.active[first]
    progress.failed[second] = "Traceback"
    del progress.active[second]
    assert [row.state for row in watcher.look(progress).rows[:3]] == ["done", "failed", "waiting"]


def test_the_speed_of_what_was_done_before_is_known(jobs: list[Job]) -> None:
    finish(jobs[0], speed=128.0)
    overview = Watcher(jobs, workers=1).look(Progress(deque(jobs[1:])))
    assert overview.seconds == pytest.approx(5 * 2.0)


def test_damaged_files_are_no_reason_to_stop(jobs: list[Job]) -> None:
    come_to(jobs[0], 64, 1.0)
    (jobs[0].folder / "evaluations.csv").write_bytes(b"\xff\xfe\n")
    (jobs[0].folder / "progress.csv").write_text("a,b\n1,2\n")
    row, *_ = Watcher(jobs, 1).look(Progress(deque(), {jobs[0]: Nobody()})).rows
    assert (row.step, row.score) == (0, None)


def drawn(overview: Overview, height: int = 20) -> str:
    console = Console(file=io.StringIO(), width=80)
    console.print(table(overview, height, "caption"))
    return console.file.getvalue()


def test_the_table_has_a_line_per_run(jobs: list[Job]) -> None:
    rows = (
        Row(jobs[0], "done", 256, -7.0, None),
        Row(jobs[1], "active", 64, -1234.5, 90.0),
        Row(jobs[2], "failed", 64, None, None),
        Row(jobs[3], "waiting", 0, None, None),
    )
    lines = [line.split() for line in drawn(Overview(rows, 90.0)).splitlines() if line.strip()]
    assert lines[1] == ["done", "pendulum-p", "ppo-jamba", "100", "256", "100%", "-7.0"]
    assert lines[2] == ["active", "pendulum-p", "ppo-mlp", "100", "64", "25%", "-1,234", "1", "min"]
    assert lines[4] == ["waiting", "pendulum-p", "ppo-mlp", "101"]
    assert lines[-1] == ["caption"]


def test_of_too_many_runs_those_are_shown_that_something_happens_to(jobs: list[Job]) -> None:
    states = ["done", "done", "active", "waiting", "failed", "waiting"]
    rows = tuple(Row(job, state, 0, None, None) for job, state in zip(jobs, states, strict=True))
    assert [row.job for row in chosen(rows, 2)] == [jobs[2], jobs[4]]
    assert [row.job for row in chosen(rows, 3)] == [jobs[2], jobs[3], jobs[4]]
    assert [row.job for row in chosen(rows, 5)] == [jobs[1], jobs[2], jobs[3], jobs[4], jobs[5]]
    assert len(drawn(Overview(rows, None), height=2).splitlines()) == 4


def test_the_summary_says_what_is_left(jobs: list[Job]) -> None:
    rows = (Row(jobs[0], "done", 0, None, None), Row(jobs[1], "active", 0, None, None))
    assert summary(Progress(deque()), Overview(rows, 30.0)) == "1 of 2 runs done, 1 active, 30 s left"
    assert "checkpoints are being written" in summary(Progress(deque(), interrupted=1), Overview(rows, 30.0))


def test_lines_say_who_begins_and_who_ends(jobs: list[Job]) -> None:
    out = io.StringIO()
    lines = Lines(Watcher(jobs[:2], 1), out)
    progress = Progress(deque([jobs[1]]), {jobs[0]: Nobody()})
    lines(progress)
    lines(progress)
    finish(jobs[0])
    progress.active = {jobs[1]: Nobody()}
    progress.waiting.clear()
    lines(progress)
    progress.active, progress.failed = {}, {jobs[1]: "Traceback"}
    lines(progress)
    lines(progress)
    assert out.getvalue().splitlines() == [
        "begins: pendulum-p ppo-jamba 100",
        "0 of 2 runs done, 1 active, 1 waiting",
        "begins: pendulum-p ppo-mlp 100",
        "done: pendulum-p ppo-jamba 100, return -7.0",
        "failed: pendulum-p ppo-mlp 100",
        "1 of 2 runs done, 1 failed",
    ]


def test_a_worker_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jamba_rl.lab.experiment.local.WORKER", "no.such.worker")
    run = LocalRun({}, tmp_path / "run", ["jamba-rl"])
    while (end := run.poll()) is None:
        pass
    assert "No module named" in end.said
    assert end.said.endswith("the worker ended: exit code 1\n")
