from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

from jamba_rl.lab import progress
from jamba_rl.lab.evaluate import Scores
from jamba_rl.lab.progress import ProgressBar, ProgressLines


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def follow(report: ProgressLines | ProgressBar, clock: Clock, seconds: float) -> None:
    """A training from step 1000 to 2000 in steps of 100."""
    model = SimpleNamespace(num_timesteps=1000, ep_info_buffer=[{"r": -3.0}, {"r": -1.0}])
    report.init_callback(model)
    report.on_training_start({}, {})
    for _ in range(10):
        clock.now += seconds / 10
        model.num_timesteps += 100
        assert report.on_step()
    report.on_training_end()
    report.close()


def test_lines_come_now_and_then_and_at_the_end(clock: Clock) -> None:
    out, evaluations = io.StringIO(), SimpleNamespace(latest=Scores((-1.0, -2.0), (5, 5)))
    follow(ProgressLines(2000, evaluations, out), clock, seconds=40.0)
    lines = out.getvalue().splitlines()
    assert len(lines) == 4  # after 12, 24, 36 seconds and at the end
    assert lines[0] == "1,300/2,000 steps, 25 steps/s, 28 s left, return -2.0 (eval -1.5)"
    assert lines[-1].startswith("2,000/2,000 steps, 25 steps/s, 0 s left")


def test_a_short_training_has_one_line(clock: Clock) -> None:
    out = io.StringIO()
    follow(ProgressLines(2000, SimpleNamespace(latest=None), out), clock, seconds=1.0)
    assert out.getvalue() == "2,000/2,000 steps, 1,000 steps/s, 0 s left, return -2.0\n"


def test_the_bar_shows_the_same_and_gives_the_terminal_back(clock: Clock) -> None:
    bar = ProgressBar(2000, SimpleNamespace(latest=None))
    follow(bar, clock, seconds=10.0)
    (task,) = bar.bar.tasks
    assert (task.completed, task.total) == (2000, 2000)
    assert task.fields == {"steps": "2,000/2,000", "speed": "100 steps/s", "returns": "return -2.0"}
    assert not bar.bar.live.is_started
