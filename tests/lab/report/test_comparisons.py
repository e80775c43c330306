"""What is compared with what, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jamba_rl.catalogue import merge
from jamba_rl.lab.report import make_study
from jamba_rl.lab.report.blocks import blocks
from tests.lab.report.runs import flat, grid, words_of, write_run
from tests.lab.report.sections import OPEN, rows, section


def with_agent(**keys: Any) -> dict[str, Any]:
    return {"agent": keys}


@pytest.mark.parametrize(
    ("over", "result", "said"),
    [
        ({}, {}, "Compared agents differ in their network alone, and their parameters are equal within 10%."),
        (with_agent(network={"pattern": "L"}), {"parameters": 130}, "Compared agents differ in their network alone"),
        (with_agent(frames=4), {}, "**More than the network**: `agent.frames` differs: `1` for `ppo-jamba`; `4` for"),
        (with_agent(algorithm="sb3-ppo"), {}, "**More than the network**: `agent.algorithm` differs"),
        (
            {},
            {"parameters": 150},
            "**Parameters differ by 22%**: 150 of `ppo-lstm` and 123 of `ppo-jamba` meet",
        ),
        ({}, {"parameters": 999, "active_parameters": 125}, "parameters are equal within 10%"),
        (
            {"task": {"protocol": {"stepping": "envpool"}}},
            {},
            "**Envs are stepped differently**, and EnvPool has",
        ),
        ({"task": {"protocol": {"steps": 5}}}, {}, "**The protocol is not the same**: `task.protocol.steps` differs"),
        ({"task": {"protocol": {"ppo": {"gamma": 1}}}}, {}, "`task.protocol.ppo.gamma` differs: `0.9` for"),
        ({"task": {"kwargs": {"g": 1}}}, {}, "**The task is not the same**: `task.kwargs` differs"),
        ({"task": {"protocol": {"sac": {"gamma": 1}}}}, {}, "Compared agents differ in their network alone"),
    ],
)
def test_what_compared_agents_do_not_share_is_said(
    tmp_path: Path, over: dict[str, Any], result: dict[str, Any], said: str
) -> None:
    flat(tmp_path / "runs", "ppo-jamba", "a", [1.0, 2.0], over=with_agent(frames=1))
    base = with_agent(frames=1)
    flat(tmp_path / "runs", "ppo-lstm", "a", [1.0, 2.0], over=merge(base, over), result=result)
    assert said in words_of(tmp_path)


def test_what_differs_on_purpose_is_said_to(tmp_path: Path) -> None:
    flat(tmp_path / "runs", "ppo-jamba", "a", [1.0], over=with_agent(learning_rate=1))
    flat(tmp_path / "runs", "ppo-lstm", "a", [1.0], over=with_agent(learning_rate=2))
    (tmp_path / "comparison.json").write_text(json.dumps({"differ": ["network", "learning_rate"]}))
    text = words_of(tmp_path)
    assert "**More than the network, on purpose**: `agent.learning_rate` differs: `1` for `ppo-jamba`; `2` for" in text


def test_different_numbers_of_seeds_and_two_algorithms_are_said(tmp_path: Path) -> None:
    flat(tmp_path / "runs", "ppo-jamba", "a", [1.0, 2.0])
    flat(tmp_path / "runs", "sac-jamba", "a", [1.0, 2.0, 3.0])
    text = words_of(tmp_path)
    assert "Seeds are not as many for all: 2 of `ppo-jamba`, 3 of `sac-jamba`." in text
    assert "**Two algorithms**" in text


def test_an_agent_that_does_not_ship_is_named(tmp_path: Path) -> None:
    flat(tmp_path / "runs", "ppo-jmba", "a", [1.0])
    text = words_of(tmp_path)
    assert "Not among the agents that ship with jamba-rl: `ppo-jmba` (nearest: `ppo-jamba`)." in text
    assert "| a | ppo-jmba | 1 |" in text


def test_aggregates_are_over_tasks_that_all_their_agents_share(tmp_path: Path) -> None:
    grid(tmp_path / "runs", ["ppo-jamba", "ppo-lstm", "ppo-mlp-framestack"], ["a", "b"], 3, 10)
    grid(tmp_path / "runs", ["ppo-jamba", "ppo-lstm"], ["c"], 2, 10)
    grid(tmp_path / "runs", ["sac-jamba"], ["d"], 2, 10)
    found = [(block.agents, block.envs) for block in blocks(make_study(tmp_path))]
    assert found == [
        (("ppo-jamba", "ppo-lstm"), ("a", "b", "c")),
        (("ppo-jamba", "ppo-lstm", "ppo-mlp-framestack"), ("a", "b")),
    ]
    titles = [part.title for part in section(tmp_path, "aggregate").parts]  # type: ignore[union-attr]
    assert titles == ["2 agents on a, b, c", "3 agents on a, b"]


def test_there_are_no_aggregates_of_one_task(tmp_path: Path) -> None:
    grid(tmp_path / "runs", ["ppo-jamba", "ppo-lstm"], ["a"], 2, 10)
    assert "Aggregate" not in words_of(tmp_path)


def test_of_one_agent_and_one_run_nothing_is_compared(tmp_path: Path) -> None:
    flat(tmp_path / "runs", "ppo-jamba", "a", [50.0], over=OPEN)
    assert section(tmp_path, "compared").words == ["No two agents were run on the same task, so nothing is compared."]
    assert rows(section(tmp_path, "spread"))[0].endswith(" | –")  # noqa: RUF001


@pytest.mark.parametrize(("better", "score"), [("ppo", 110.0), ("sac", 210.0)])
def test_the_better_sighted_mlp_is_the_measure_in_whatever_order_runs_are_found(
    tmp_path: Path, better: str, score: float
) -> None:
    hidden = {"task": {"sighted": "open", "reference": {"random": 10.0}}}
    for part in ("sac", "ppo"):
        flat(tmp_path / "runs", f"{part}-jamba", "blind", [60.0], over=hidden)
        flat(tmp_path / "runs", f"{part}-mlp", "open", [score if part == better else 100.0])
    anchors = make_study(tmp_path).anchors["blind"]
    assert (anchors.reference, anchors.source) == (score, f"{better}-mlp on open, measured here")


def test_there_are_no_aggregates_of_one_agent(tmp_path: Path) -> None:
    grid(tmp_path / "runs", ["sac-jamba"], ["a"], 2, 10)
    assert "Aggregate" not in words_of(tmp_path)


def test_curves_of_unequal_length_are_averaged_where_all_seeds_are(tmp_path: Path) -> None:
    write_run(tmp_path / "runs/0", "ppo-jamba", 0, [1.0, 2.0, 3.0], env="a")
    write_run(tmp_path / "runs/1", "ppo-jamba", 1, [3.0, 4.0], env="a")
    (chart,) = section(tmp_path, "curves").parts
    assert chart.lines[0].x == [1000, 2000]  # type: ignore[union-attr]
    assert chart.lines[0].y == [2.0, 3.0]  # type: ignore[union-attr]


def test_a_transferred_backbone_is_measured_against_the_same_agent_from_nothing(tmp_path: Path) -> None:
    start = {"start": {"env": "pendulum", "agent": "ppo-jamba"}}
    flat(tmp_path / "runs", "ppo-jamba", "a", [100.0, 100.0], over=OPEN)
    flat(tmp_path / "runs", "moved", "a", [150.0, 150.0], over=merge(OPEN, start))
    flat(tmp_path / "runs", "moved-too", "b", [1.0], over=merge(OPEN, start))
    found = section(tmp_path, "transfer")
    assert found.finding == "From `pendulum` to `a`: +50% [+50%, +50%], too few seeds to tell (2)."
    table = rows(found)
    assert table[0].startswith("a | moved | `ppo-jamba` on `pendulum` | +50% | [+50%, +50%] | +50% |")
    assert table[0].endswith("2 seeds, 2 from nothing")
    assert found.points == ["`moved-too` on `b` has nothing to be compared with: `ppo-jamba` was not run there."]


def test_there_is_no_transfer_where_all_began_from_nothing(tmp_path: Path) -> None:
    flat(tmp_path / "runs", "ppo-jamba", "a", [1.0], over={"start": None})
    assert "## Transfer" not in words_of(tmp_path)


def test_a_start_that_was_declared_differs_on_purpose(tmp_path: Path) -> None:
    flat(tmp_path / "runs", "ppo-jamba", "a", [1.0], over={"start": None})
    flat(tmp_path / "runs", "moved", "a", [1.0], over={"start": {"env": "pendulum", "agent": "ppo-jamba"}})
    assert "**More than the network**: `start` differs" in words_of(tmp_path)
    (tmp_path / "comparison.json").write_text(json.dumps({"differ": ["network", "start"]}))
    assert "**More than the network, on purpose**: `start` differs" in words_of(tmp_path)
