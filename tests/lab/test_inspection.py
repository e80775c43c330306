"""What things are made of."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError
from jamba_rl.lab.build import learned_parameters
from jamba_rl.lab.inspection import inspect, policy_of
from jamba_rl.nn.presets import PRESETS
from tests.conftest import Outcome

Cli = Callable[..., Outcome]


@pytest.mark.parametrize("agent", ["ppo-jamba", "ppo-jamba-moe", "ppo-mlp-framestack", "sac-jamba", "sac-jamba-window"])
def test_the_table_of_an_agent_adds_up_to_what_it_learns_and_remembers(agent: str) -> None:
    table = inspect(agent, "pendulum-p").table
    with policy_of(agent, "pendulum-p") as policy:
        size = learned_parameters(policy)
        assert (table.total.parameters, table.total.active) == (size.total, size.active)
        if agent.startswith("ppo"):
            held = sum(part.nbytes for part in policy.initial_state(1))
        elif agent == "sac-jamba":
            held = sum(part.nbytes for part in policy.initial_state(1, critic=True))
        else:
            return  # it remembers nothing from one step to the next
    assert table.total.state_bytes + table.total.kv_bytes == held


def test_separate_memories_say_whose_they_are_and_the_target_does_not_count() -> None:
    names = [layer.name for layer in inspect("sac-jamba", "pendulum-p").table.blocks]
    assert sorted(names) == ["actor 0", "actor 1", "critic 0", "critic 1"]


def test_an_agent_is_as_large_as_what_it_observes() -> None:
    small, large = (inspect("ppo-jamba", env).table for env in ("pendulum-p", "pendulum"))
    assert small.blocks == large.blocks
    assert small.rest.parameters < large.rest.parameters


@pytest.mark.filterwarnings("ignore:.*out of date:DeprecationWarning")
@pytest.mark.parametrize(("agent", "encoders"), [("ppo-jamba", 1), ("sac-jamba", 2)])
def test_convolutions_cost_as_many_times_as_there_are_places(agent: str, encoders: int) -> None:
    rest = inspect(agent, "invertedpendulum-pixels").table.rest
    # 1 to 8 channels at 24x48, to 16 at 12x24, to 32 at 6x12: nine weights each, and a bias per channel
    each, met = 80 + 1168 + 4640, 80 * 24 * 48 + 1168 * 12 * 24 + 4640 * 6 * 12
    assert rest.flops == 6 * (rest.parameters - encoders * each + encoders * met)


def test_every_preset_has_a_table_also_those_that_fit_in_no_memory() -> None:
    for name in PRESETS:
        found = inspect(name, "")
        assert len(found.table.blocks) > 1
        assert found.claimed is None
    assert inspect("nakshatra", "").table.total.parameters > 5e9


def test_attention_without_a_window_keeps_the_context() -> None:
    short, long = (inspect("ai21-jamba", "", context).table.total for context in (10, 1000))
    assert long.kv_bytes == 100 * short.kv_bytes > 0
    assert long.state_bytes == short.state_bytes
    assert long.flops > short.flops


@pytest.mark.parametrize(
    ("size", "counted", "claimed"),
    [("small", 2_536_330, 800_000), ("medium", 32_055_562, 2_000_000), ("large", 342_229_514, 8_500_000)],
)
def test_the_seeds_sizes_stand_next_to_what_their_documents_say(
    cli: Cli, size: str, counted: int, claimed: int
) -> None:
    found = cli("inspect", size)
    assert found.code == 0
    assert f"{counted:,}" in found.out
    assert f"the {claimed:,} of its documents" in found.out


def test_json_and_files_say_what_the_table_says(cli: Cli, tmp_path: Path) -> None:
    printed = cli("inspect", "ppo-jamba", "--env", "pendulum-p", "--json", "--out", "out")
    assert printed.code == 0
    data = json.loads(printed.out)
    assert data == json.loads((tmp_path / "out/inspect-ppo-jamba.json").read_text())
    assert data["kind"] == "agent on pendulum-p"
    rows = list(csv.DictReader((tmp_path / "out/inspect-ppo-jamba.csv").read_text().splitlines()))
    assert [row["name"] for row in rows] == ["0", "1", "rest", "total"]
    assert [int(row["flops"]) for row in rows] == [layer["flops"] for layer in (*data["layers"], data["total"])]
    assert printed.err.count("written") == 2
    table = cli("inspect", "ppo-jamba", "--env", "pendulum-p").out
    for number in (data["total"]["parameters"], data["total"]["kv_bytes"], data["layers"][0]["flops"]):
        assert f"{number:,}" in table


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ppo-jmba"], "unknown agent, preset or size 'ppo-jmba'; did you mean 'ppo-jamba'?"),
        (["nexs"], "did you mean 'nexus'?"),
        (["medum"], "did you mean 'medium'?"),
        (["mine.yaml"], "no such file: mine.yaml"),
        (["ppo-jamba", "--env", "halfchetah"], "did you mean 'halfcheetah'?"),
        (["sac-jamba", "--env", "cartpole-p"], "which SAC cannot take"),
        (["rl", "--context", "0"], "--context must be at least 1, was 0"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(cli: Cli, arguments: list[str], said: str) -> None:
    found = cli("inspect", *arguments)
    assert (found.code, found.out) == (2, "")
    assert said in found.err
    assert found.err.count("\n") == 1


def test_an_agent_of_ones_own_is_named_by_its_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("algorithm: ppo\nnetwork: {pattern: PG, d_model: 16}\n")
    assert cli("inspect", "mine.yaml", "--env", "pendulum-p", "--out", ".").code == 0
    text = (tmp_path / "inspect-mine.csv").read_text()
    assert [row["mixer"] for row in csv.DictReader(text.splitlines())][:2] == ["simple SSM", "GRU"]


def test_no_agent_is_named_like_a_preset() -> None:
    with pytest.raises(UserError):
        inspect("", "pendulum-p")
    assert not set(catalogue.names("agents")) & PRESETS.keys()
