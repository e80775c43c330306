"""When agents are good enough, and who is first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.lab.report.runs import flat, write_run
from tests.lab.report.sections import OPEN, rows, section


def test_steps_to_a_threshold_count_runs_that_never_got_there(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for seed, reached_at in enumerate((2, 4, 99)):
        returns = [100.0 if i + 1 >= reached_at else 0.0 for i in range(10)]
        write_run(runs / f"jamba-{seed}", "ppo-jamba", seed, returns, env="a", over=OPEN)
    flat(runs, "ppo-ssm", "a", [100.0, 100, 100], over=OPEN)
    found = section(tmp_path, "efficiency")
    assert rows(found)[-1] == "a | 90.0 | 90% of the way from random actions to the reference"
    assert rows(found)[0].startswith("a | ppo-jamba | 2 of 3 | 4,000 | [2,000, > 10,000] |")
    assert rows(found)[1].startswith("a | ppo-ssm | 3 of 3 | 1,000 | [1,000, 1,000] | 100 | [100, 100] | 1.00")


@pytest.mark.parametrize(
    ("ours", "baseline", "score", "who"),
    [
        (95.0, 50.0, "90.0", "reference"),  # somebody gets there
        (60.0, 50.0, "45.0", "final score of `ppo-mlp`"),  # nobody does
        (60.0, 5.0, "90.0", "reference"),  # what the baseline gets is no score at all
    ],
)
def test_the_threshold_is_a_score_worth_reaching(
    tmp_path: Path, ours: float, baseline: float, score: str, who: str
) -> None:
    flat(tmp_path / "runs", "ppo-jamba", "a", [ours] * 2, over=OPEN)
    flat(tmp_path / "runs", "ppo-mlp", "a", [baseline] * 2, over=OPEN)
    found = section(tmp_path, "efficiency")
    assert rows(found)[-1] == f"a | {score} | 90% of the way from random actions to the {who}"


@pytest.mark.parametrize(
    ("scores", "over", "said"),
    [
        ({"ppo-mlp": 50.0}, {}, "none: `ppo-mlp` was run alone, and no reference is known"),
        ({"ppo-mlp": 50.0}, OPEN, "90% of the way from random actions to the reference"),
        ({"ppo-mlp": -5.0, "ppo-jamba": 50.0}, OPEN, "90% of the way from random actions to the reference"),
        (
            {"ppo-mlp": 0.0, "ppo-jamba": 50.0},
            {"task": {"reference": {"random": 0.0}}},
            "none: `ppo-mlp` gets no more than random actions, and no reference is known",
        ),
    ],
)
def test_a_baseline_that_is_no_measure_makes_no_threshold(
    tmp_path: Path, scores: dict[str, float], over: dict[str, Any], said: str
) -> None:
    for agent, score in scores.items():
        flat(tmp_path / "runs", agent, "a", [score] * 2, over=over)
    found = section(tmp_path, "efficiency")
    *_, last = rows(found)
    assert last.endswith(f" | {said}")
    if said.startswith("none"):
        assert " | – | – | – | " in rows(found)[0]  # noqa: RUF001
        assert section(tmp_path, "curves").parts[0].finding == f"Threshold: {said}."  # type: ignore[union-attr]


def test_who_is_alone_on_a_task_is_not_first_there(tmp_path: Path) -> None:
    flat(tmp_path / "runs", "ppo-jamba", "alone", [95.0] * 2, over=OPEN)
    assert section(tmp_path, "efficiency").finding == ""
    flat(tmp_path / "runs", "ppo-jamba", "a", [95.0] * 2, over=OPEN)
    flat(tmp_path / "runs", "ppo-mlp", "a", [5.0] * 2, over=OPEN)
    assert section(tmp_path, "efficiency").finding == "First at the threshold, of 1 task: `ppo-jamba` on 1."


def test_who_gains_nothing_has_no_learning_speed(tmp_path: Path) -> None:
    flat(tmp_path / "runs", "ppo-jamba", "a", [-1.0, -2.0], over=OPEN)
    flat(tmp_path / "runs", "ppo-mlp", "a", [50.0, -2.0], over=OPEN)
    table = rows(section(tmp_path, "expected"))
    assert table[0].startswith("a | ppo-jamba | -1.5 | – |")  # noqa: RUF001
    assert table[1].startswith("a | ppo-mlp | 24.0 | 1,000 |")
