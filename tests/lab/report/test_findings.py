"""Expectations are not judged by tasks that cannot say anything about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jamba_rl.lab.report import make_study
from jamba_rl.lab.report.findings import Finding, findings
from tests.lab.report.runs import flat

BOUND: dict[str, Any] = {"task": {"reference": {"random": 0.0, "score": 100.0}}}


def pair(results: Path, env: str, ours: list[float], theirs: list[float], over: dict[str, Any] = BOUND) -> None:
    flat(results / "runs", "ppo-jamba", env, ours, over=over)
    flat(results / "runs", "ppo-ssm", env, theirs, over=over)


def found(results: Path) -> dict[tuple[str, str], Finding]:
    return {(each.where, each.claim.name): each for each in findings(make_study(results))}


def test_where_the_other_is_near_the_best_there_is_no_verdict_on_reward(tmp_path: Path) -> None:
    pair(tmp_path, "solved", [100.0, 99, 100, 99, 98], [90.0, 91, 92, 91, 90])
    pair(tmp_path, "open", [60.0, 61, 62, 61, 60], [40.0, 41, 42, 41, 40])
    each = found(tmp_path)
    solved, together = each["solved", "final reward"], each["all 2 tasks", "final reward"]
    assert solved.reason == "not judged: `ppo-ssm` is too near to the best that there is"
    assert solved.verdict == "undecided"
    assert together.change == each["open", "final reward"].change
    assert together.verdict == "confirmed"
    assert "without 1 task, expected +20 to +36%: confirmed at 5 seeds" in str(together)


def test_a_reference_that_somebody_beats_is_no_bound(tmp_path: Path) -> None:
    pair(tmp_path, "a", [150.0, 151, 152, 151, 150], [90.0, 91, 92, 91, 90])
    assert found(tmp_path)["a", "final reward"].verdict == "confirmed"


def test_who_gains_nothing_over_random_actions_is_no_measure(tmp_path: Path) -> None:
    pair(tmp_path, "a", [60.0, 61, 62, 61, 60], [-1.0, 0, 0, 0, 0])
    each = found(tmp_path)
    for name in ("final reward", "steps needed"):
        assert each["a", name].reason == "not judged: `ppo-ssm` learned nothing"
        assert each["a", name].verdict == "undecided"


def test_where_no_seed_differs_there_is_no_spread_to_change(tmp_path: Path) -> None:
    pair(tmp_path, "a", [70.0] * 5, [60.0] * 5)
    pair(tmp_path, "b", [70.0] * 5, [60.0, 61, 62, 61, 60])
    each = found(tmp_path)
    assert each["a", "spread of seeds"].reason == "not judged: no seed differs"
    assert each["b", "spread of seeds"].verdict == "confirmed"
    assert each["all 2 tasks", "spread of seeds"].left_out == 1
