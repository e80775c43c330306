"""Runs that ended because they were good enough are no shorter than the others, and are said to have."""

from __future__ import annotations

from pathlib import Path

import pytest

from jamba_rl.lab.report import make_study
from jamba_rl.lab.report.sections.curves import curve_chart
from tests.lab.report.runs import words_of, write_run

BUDGET = 10_000
OVER = {
    "stop": {"metric": "mean_reward", "at": 0.9, "times": 2},
    "task": {"reference": {"random": 0.0, "score": 1.0}, "protocol": {"steps": BUDGET}},
}


@pytest.fixture
def early(tmp_path: Path) -> Path:
    """The first is good enough after 4 evaluations out of 10, the second never is."""
    write_run(tmp_path / "runs/0", "ppo-jamba", 0, [0.0, 0.0, 1.0, 1.0], env="a", over=OVER)
    write_run(tmp_path / "runs/1", "ppo-jamba", 1, [0.0] * 10, env="a", over=OVER)
    return tmp_path


def test_the_mean_curve_goes_on_to_the_budget(early: Path) -> None:
    (line,) = curve_chart(make_study(early), "a").lines
    assert line.x == list(range(1000, BUDGET + 1, 1000))
    assert line.y == [0.0, 0.0] + [0.5] * 8
    assert line.runs[0] == [0.0, 0.0] + [1.0] * 8


def test_the_area_is_over_the_whole_budget(early: Path) -> None:
    area = make_study(early).scores.set_index("seed").area_under_curve
    assert area[0] == pytest.approx((0.5 + 7) / 9)  # from 1,000 to 10,000: a rise from 2,000 to 3,000, then 7,000 of it
    assert area[1] == 0.0


def test_the_final_score_is_of_the_evaluations_that_were_made(early: Path) -> None:
    scores = make_study(early).scores.set_index("seed")
    assert (scores.final[0], scores.steps[0], scores.budget[0], scores.peak[0]) == (1.0, 4_000, BUDGET, 1.0)
    assert scores.std_in_training[0] == 0.5


def test_it_is_said_how_many_ended_and_by_what(early: Path) -> None:
    text = words_of(early)
    assert "1 of 2 runs ended early, when `mean_reward` was at least 0.9 2 times in a row." in text
    assert "| a | ppo-jamba | 2 | 4,000 to 10,000 |" in text


def test_runs_that_were_to_end_early_and_did_not_need_no_word(tmp_path: Path) -> None:
    write_run(tmp_path / "runs/1", "ppo-jamba", 1, [0.0] * 10, env="a", over=OVER)
    assert "ended early, when" not in words_of(tmp_path)


def test_what_took_fewer_steps_than_its_protocol_and_had_no_condition_is_taken_as_it_is(tmp_path: Path) -> None:
    write_run(tmp_path / "runs/1", "ppo-jamba", 1, [0.0] * 4, env="a", over=OVER | {"stop": None})
    (line,) = curve_chart(make_study(tmp_path), "a").lines
    assert line.x == [1000, 2000, 3000, 4000]


def test_seeds_evaluated_at_other_steps_meet_between(tmp_path: Path) -> None:
    write_run(tmp_path / "runs/0", "ppo-jamba", 0, [0.0, 2.0, 4.0], env="a")
    other = write_run(tmp_path / "runs/1", "ppo-jamba", 1, [0.0, 0.0, 0.0], env="a")
    rows = (other / "evaluations.csv").read_text().replace("\n2000,", "\n1500,")
    (other / "evaluations.csv").write_text(rows)
    (line,) = curve_chart(make_study(tmp_path), "a").lines
    assert (line.x, line.y) == ([1000, 1500, 2000, 3000], [0.0, 0.5, 1.0, 2.0])
