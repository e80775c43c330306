"""What a report says about its runs, on cases that were worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from jamba_rl.lab.report import make_study
from jamba_rl.lab.report.findings import findings
from tests.lab.report.runs import flat, words_of, write_run
from tests.lab.report.sections import HIDDEN, OPEN, rows, section


def test_the_frame_stacked_mlp_stands_next_to_the_memories(tmp_path: Path) -> None:
    for agent in ("ppo-mlp", "ppo-mlp-framestack", "ppo-ssm", "my-own", "ppo-jamba", "ppo-lstm"):
        flat(tmp_path / "runs", agent, "a", [1.0, 2.0])
    expected = ["ppo-jamba", "ppo-lstm", "ppo-ssm", "ppo-mlp-framestack", "ppo-mlp", "my-own"]
    assert make_study(tmp_path).agents == expected
    curves = section(tmp_path, "curves").parts[0]
    assert [line.agent for line in curves.lines] == expected  # type: ignore[union-attr]


def test_in_short_says_whether_a_lead_is_more_than_chance(tmp_path: Path) -> None:
    flat(tmp_path / "runs", "ppo-jamba", "a", [100.0, 101, 102, 103, 104])
    flat(tmp_path / "runs", "ppo-lstm", "a", [10.0, 11, 12, 13, 14])
    flat(tmp_path / "runs", "ppo-jamba", "b", [0.0, 100, 50])
    flat(tmp_path / "runs", "ppo-lstm", "b", [40.0, 10, 70])
    flat(tmp_path / "runs", "ppo-jamba", "c", [0.0, 100, 50, 20, 80])
    flat(tmp_path / "runs", "ppo-lstm", "c", [40.0, 10, 70, 20, 50])
    first, second, third = (part.finding for part in section(tmp_path, "scores").parts[:3])  # type: ignore[union-attr]
    assert first.startswith("`ppo-jamba` scores 102 [101, 103], ahead of `ppo-lstm` by 90 [")
    assert ", more than chance at 5 seeds. A run of `ppo-jamba` beats one of `ppo-lstm` 100% of the time." in first
    assert "too few seeds to tell (3)" in second
    assert ", not more than chance at 5 seeds." in third
    scores = section(tmp_path, "found").points[0]
    assert scores == "**Scores**: Of 3 tasks, the best mean is that of `ppo-jamba` on 3; on `a` by more than chance."


def test_the_memory_gap_is_between_the_mlp_and_its_sighted_self(tmp_path: Path) -> None:
    flat(tmp_path / "runs", "ppo-mlp", "open", [90.0, 92.0], over=OPEN)
    for agent, scores in {
        "ppo-mlp": [10.0, 12.0],
        "ppo-jamba": [70.0, 72.0],
        "ppo-mlp-framestack": [51.0, 51.0],
    }.items():
        flat(tmp_path / "runs", agent, "blind", scores, over=HIDDEN)
    found = section(tmp_path, "memory")
    assert rows(found) == [
        "blind | ppo-jamba | 11.0 | 71.0 | 91.0 | 75% | [73%, 77%]",
        "blind | ppo-mlp-framestack | 11.0 | 51.0 | 91.0 | 50% | [49%, 51%]",
    ]
    assert found.points == ["Too few seeds to tell whether the gap on `blind` is more than chance."]


def test_a_gap_within_its_own_interval_is_named_and_counts_in_no_mean(tmp_path: Path) -> None:
    flat(tmp_path / "runs", "ppo-mlp", "open", [90.0, 92.0], over=OPEN)
    for env, scores in {"blind": [10.0, 12.0], "blinder": [1.0, 1.0], "seeing": [85.0, 95.0]}.items():
        flat(tmp_path / "runs", "ppo-mlp", env, scores, over=HIDDEN)
        flat(tmp_path / "runs", "ppo-jamba", env, [91.0, 91.0], over=HIDDEN)
    found = section(tmp_path, "memory")
    assert any(
        point.startswith("`seeing` is left out: what `ppo-mlp` gains by seeing everything (`open`), 1.00 [")
        for point in found.points
    )
    table = rows(found)
    assert not any(row.startswith("seeing") for row in table)
    assert table[-1].startswith("mean of 2 tasks | ppo-jamba |  |  |  | 100% | [")
    assert any("No frame-stacked MLP was run on `blind`, `blinder` and `seeing`" in point for point in found.points)


def test_a_gap_that_was_not_measured_says_what_is_missing(tmp_path: Path) -> None:
    flat(tmp_path / "runs", "ppo-jamba", "blind", [91.0], over=HIDDEN)
    points = section(tmp_path, "memory").points
    assert points[0] == "`blind`: not measured, for want of runs of `ppo-mlp` on `blind` and of `ppo-mlp` on `open`."


def test_expectations_are_confirmed_refuted_or_undecided(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    flat(runs, "ppo-jamba", "good", [150.0, 151, 152, 151, 150], over=OPEN)
    flat(runs, "ppo-ssm", "good", [80.0, 100, 120, 90, 110], over=OPEN)
    flat(runs, "ppo-jamba", "same", [100.0, 101, 102, 101, 100], over=OPEN)
    flat(runs, "ppo-ssm", "same", [100.0, 101, 102, 101, 100], over=OPEN)
    flat(runs, "ppo-jamba", "two", [200.0, 201], over=OPEN)
    flat(runs, "ppo-ssm", "two", [100.0, 101], over=OPEN)
    verdicts = {(found.where, found.claim.name): str(found.verdict) for found in findings(make_study(tmp_path))}
    assert verdicts["good", "final reward"] == "confirmed"
    assert verdicts["good", "spread of seeds"] == "confirmed"
    assert verdicts["good", "steps needed"] == "undecided"  # both are there at the first evaluation
    assert verdicts["same", "final reward"] == "refuted"
    assert verdicts["two", "final reward"] == "undecided"  # two seeds decide nothing
    assert verdicts["all 3 tasks", "final reward"] == "undecided"


def test_every_simple_ssm_is_compared_and_every_algorithm_with_its_own(tmp_path: Path) -> None:
    for agent in ("ppo-jamba", "ppo-ssm", "ppo-simple-ssm", "sac-jamba", "sac-ssm"):
        flat(tmp_path / "runs", agent, "a", [1.0, 2.0], over=OPEN)
    pairs = {(found.ours, found.theirs) for found in findings(make_study(tmp_path))}
    assert pairs == {("ppo-jamba", "ppo-ssm"), ("ppo-jamba", "ppo-simple-ssm"), ("sac-jamba", "sac-ssm")}


def test_reward_is_not_judged_without_the_score_of_random_actions(tmp_path: Path) -> None:
    flat(tmp_path / "runs", "ppo-jamba", "a", [-1.0, -2.0])
    flat(tmp_path / "runs", "ppo-ssm", "a", [-3.0, -4.0])
    assert "not measured, for want of the score of random actions" in words_of(tmp_path)
    assert "| a | – | – | not known, so there are no normalised scores |" in words_of(tmp_path)  # noqa: RUF001


def test_a_task_without_a_published_score_is_measured_by_the_sighted_mlp(tmp_path: Path) -> None:
    hidden = {"task": {"sighted": "open", "reference": {"random": 10.0}}}
    flat(tmp_path / "runs", "ppo-jamba", "blind", [60.0], over=hidden)
    flat(tmp_path / "runs", "ppo-mlp", "open", [110.0, 110.0])
    study = make_study(tmp_path)
    assert study.values("ppo-jamba", "blind", "normalised").tolist() == [0.5]
    assert study.anchors["blind"].source == "ppo-mlp on open, measured here"


def test_of_single_runs_nothing_is_surer_than_chance(tmp_path: Path) -> None:
    for env in ("a", "b"):
        flat(tmp_path / "runs", "ppo-jamba", env, [90.0], over=OPEN)
        flat(tmp_path / "runs", "ppo-mlp", env, [10.0], over=OPEN)
    said = section(tmp_path, "aggregate").finding
    assert "0.90 (no interval), ahead of `ppo-mlp` by 0.80 (no interval), too few seeds to tell (1)." in said


@pytest.mark.parametrize(
    ("seeds", "verb"), [(3, "has too few seeds to be told from"), (5, "mostly beats"), (-5, "is mostly beaten by")]
)
def test_who_mostly_beats_whom_takes_five_seeds(tmp_path: Path, seeds: int, verb: str) -> None:
    sign = 1 if seeds > 0 else -1
    for env in ("a", "b"):
        flat(tmp_path / "runs", "ppo-jamba", env, [sign * (90.0 + i) for i in range(abs(seeds))], over=OPEN)
        flat(tmp_path / "runs", "ppo-mlp", env, [sign * (10.0 + i) for i in range(abs(seeds))], over=OPEN)
    (group,) = section(tmp_path, "aggregate").parts
    assert group.parts[1].finding == f"`ppo-jamba` {verb} `ppo-mlp`."  # type: ignore[union-attr]


def test_a_gap_of_equals_is_left_out_though_its_interval_is_narrow(tmp_path: Path) -> None:
    flat(tmp_path / "runs", "ppo-mlp", "open", [14.3, 15.3, 16.3, 17.3, 12.3], over=OPEN)
    flat(tmp_path / "runs", "ppo-mlp", "blind", [12.0, 13, 14, 15, 10], over=HIDDEN)
    flat(tmp_path / "runs", "ppo-jamba", "blind", [13.0] * 5, over=HIDDEN)
    (point,) = [each for each in section(tmp_path, "memory").points if each.startswith("`blind` is left out")]
    assert ", 2.30 [0.10, 4.30], is no gap that these runs can tell from chance" in point


def test_spread_is_that_of_seeds_and_that_within_a_run(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for seed, level in enumerate((100.0, 300.0)):
        zigzag = [level + (6 if i % 2 else -6) for i in range(9)] + [level]
        write_run(runs / str(seed), "ppo-jamba", seed, zigzag, env="a", over=OPEN)
    (row,) = rows(section(tmp_path, "spread"))
    # seeds: 100 and 300 differ by 141 around 200; within a run: differences of +-12 have a deviation of 12 or so
    assert row.startswith("a | ppo-jamba | 141 | [63, 4,")
    assert row.endswith("| 50%")
    assert 7 < float(row.split(" | ")[5]) < 10


def test_speeds_are_compared_task_by_task_and_where_both_were_run(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    speeds = {"slow": {"ppo-jamba": 100.0, "ppo-mlp": 200.0}, "quick": {"ppo-jamba": 1000.0, "ppo-mlp": 8000.0}}
    for env, each in speeds.items():
        for agent, speed in each.items():
            flat(runs, agent, env, [1.0, 2.0], result={"steps_per_second": speed})
    flat(runs, "ppo-mlp", "quickest", [1.0] * 9, result={"steps_per_second": 1e6})
    flat(runs, "ppo-lstm", "slow", [1.0], result={"steps_per_second": 150.0})
    flat(runs, "sac-mlp", "slow", [1.0], result={"steps_per_second": 5e5})  # of another protocol
    # a half and an eighth: a quarter
    said = "`ppo-jamba` trains at 25% of the speed of `ppo-mlp`, the fastest other, on `quick` and `slow`."
    assert section(tmp_path, "compute").finding == said


def test_the_cost_of_a_single_agent_is_compared_with_nothing(tmp_path: Path) -> None:
    flat(tmp_path / "runs", "ppo-jamba", "a", [1.0])
    flat(tmp_path / "runs", "ppo-mlp", "b", [1.0])
    assert section(tmp_path, "compute").finding == ""


def test_all_who_lead_are_named(tmp_path: Path) -> None:
    for env in ("a", "b"):
        for agent, score in {"ppo-jamba": 90.0, "ppo-lstm": 90.0, "ppo-mlp": 10.0}.items():
            flat(tmp_path / "runs", agent, env, [score] * 5, over=OPEN)
    found = section(tmp_path, "scores")
    assert found.finding.startswith(
        "Of 2 tasks, the best mean is that of `ppo-jamba` on 2 and `ppo-lstm` on 2; on none"
    )
    bars = found.parts[0].finding  # type: ignore[union-attr]
    assert bars == "`ppo-jamba` and `ppo-lstm` score the same, 90.0 [90.0, 90.0], 5 seeds."
    iqm = section(tmp_path, "aggregate").finding
    assert iqm.startswith(
        "`ppo-jamba` and `ppo-lstm` have the same interquartile mean, the highest: 0.90 [0.90, 0.90]."
    )


def test_who_learned_nothing_is_not_praised_for_seeds_that_do_not_differ(tmp_path: Path) -> None:
    for env in ("a", "b", "c"):
        flat(tmp_path / "runs", "ppo-jamba", env, [90.0, 92, 94], over=OPEN)
        flat(tmp_path / "runs", "ppo-lstm", env, [20.0, 21, 22], over=OPEN)  # less, but of less
        flat(tmp_path / "runs", "ppo-mlp", env, [9.0, 9.0, 9.0], over=OPEN)
    flat(tmp_path / "runs", "ppo-jamba", "alone", [90.0, 92, 94], over=OPEN)
    said = "Seeds differ least for what they gain: those of `ppo-jamba` on 3 of 3 tasks."
    assert section(tmp_path, "spread").finding == said


def test_what_holds_on_half_of_the_tasks_is_not_said_of_seeds(tmp_path: Path) -> None:
    for env, (ours, theirs) in {"a": (1, 2), "b": (2, 1)}.items():
        flat(tmp_path / "runs", "ppo-jamba", env, [90.0, 90.0 + ours], over=OPEN)
        flat(tmp_path / "runs", "ppo-lstm", env, [90.0, 90.0 + theirs], over=OPEN)
    assert section(tmp_path, "spread").finding == ""
