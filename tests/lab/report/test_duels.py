"""One agent against one other, on cases that were worked out by hand."""

from __future__ import annotations

from pathlib import Path

from jamba_rl.lab.report import make_study
from jamba_rl.lab.report.compose import compose
from tests.lab.report.runs import flat
from tests.lab.report.sections import OPEN, rows, section


def test_wins_are_counted_task_by_task_and_over_all_tasks_of_both(tmp_path: Path) -> None:
    flat(tmp_path / "runs", "ppo-jamba", "easy", [80.0, 90.0], over=OPEN)
    flat(tmp_path / "runs", "ppo-lstm", "easy", [40.0, 50.0], over=OPEN)
    flat(tmp_path / "runs", "ppo-jamba", "hard", [10.0, 12.0], over=OPEN)
    flat(tmp_path / "runs", "ppo-lstm", "hard", [20.0, 22.0], over=OPEN)
    flat(tmp_path / "runs", "ppo-jamba", "even", [60.0, 60.0], over=OPEN)
    flat(tmp_path / "runs", "ppo-lstm", "even", [60.0, 60.0], over=OPEN)
    flat(tmp_path / "runs", "ppo-mlp", "easy", [1.0, 1.0], over=OPEN)  # of one task nothing is pooled
    duels = section(tmp_path, "duels")
    assert rows(duels)[:4] == [
        "easy | 100% [100%, 100%]",
        "even | 50% [50%, 50%]",
        "hard | 0% [0%, 0%]",
        "all tasks of both | 50% [50%, 50%]",
    ]
    assert [each.best for _, (each,) in duels.parts[0].rows[:4]] == [True, False, False, False]  # type: ignore[union-attr]
    assert duels.points == [
        "`ppo-jamba` beats `ppo-lstm` 50% [50%, 50%] of the time, above an even chance with the whole interval on 1 of "
        "3 tasks, below on `hard`."
    ]


def test_interquartile_means_are_compared_over_tasks_that_have_a_scale(tmp_path: Path) -> None:
    for env, over in {"a": OPEN, "b": OPEN, "without": {}}.items():
        flat(tmp_path / "runs", "ppo-jamba", env, [60.0, 60.0], over=over)
        flat(tmp_path / "runs", "ppo-ssm", env, [40.0, 40.0], over=over)
    *_, chance, difference, relative = rows(section(tmp_path, "duels"))
    assert chance == "all tasks of both | 100% [100%, 100%]"
    assert difference == "interquartile mean, difference | 0.20 [0.20, 0.20]"
    assert relative == "interquartile mean, relative | +50% [+50%, +50%]"


def test_agents_of_two_algorithms_do_not_meet(tmp_path: Path) -> None:
    for env in ("a", "b"):
        flat(tmp_path / "runs", "ppo-jamba", env, [60.0])
        flat(tmp_path / "runs", "sac-lstm", env, [40.0])
    assert "duels" not in [each.anchor for each in compose(make_study(tmp_path)).sections]
