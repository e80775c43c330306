"""What is tried: every declared value is one that the agent can have."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import optuna
import pytest

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError
from jamba_rl.lab.agent import ALGORITHMS, load_agent
from jamba_rl.lab.build import make_model
from jamba_rl.lab.config import configure
from jamba_rl.lab.tune.dimension import Dimension
from jamba_rl.lab.tune.space import load_space
from jamba_rl.rl.ppo.windows import check_minibatch, window_length
from jamba_rl.tasks import load_task, make_env

TASK = load_task("pendulum-p")


def dimension(**values: object) -> Dimension:
    return catalogue.check(Dimension, values, "here")


@pytest.mark.parametrize("agent", catalogue.names("agents"))
def test_every_agent_has_a_space_of_values_it_can_have(agent: str) -> None:
    space = load_space(agent, None, load_task("pendulum-p", load_agent(agent).part), True, ())
    assert "learning_rate" in space
    pattern = load_agent(agent).network.pattern
    assert ("network.window" in space) == ("A" in pattern)
    assert ("network.pattern" in space) == (set(pattern) == {"M", "A"})


def test_there_is_a_file_for_every_algorithm_and_no_other() -> None:
    folder = catalogue.folder("agents") / "search"
    assert {path.stem for path in folder.glob("*.yaml")} == set(ALGORITHMS)


def test_declared_sizes_go_together() -> None:
    space = load_space("ppo-jamba", None, TASK, True, ())
    sizes = [space[key].examples for key in ("batch_size", "sequence_length")]
    for batch, steps in product(*sizes):
        config = configure("pendulum-p", settings=[f"batch_size={batch}", f"sequence_length={steps}"])
        make_model(config, make_env(config.task, config.part.n_envs))


@pytest.mark.parametrize("env", catalogue.names("envs"))
def test_declared_minibatches_suit_every_task(env: str) -> None:
    part = load_task(env).protocol.ppo
    for batch in load_space("ppo-jamba", None, TASK)["batch_size"].examples:
        window_length(part.n_steps, batch, part.sequence_length)
        check_minibatch(part.n_steps, part.n_envs, batch)


def test_memories_of_several_kinds_are_tried_by_what_they_have() -> None:
    def own(agent: str) -> set[str]:
        return {key for key in load_space(agent, None, TASK, False, ()) if key.startswith("network.")}

    assert own("ppo-jamba") >= {"network.pattern", "network.window", "network.d_state", "network.d_model"}
    assert own("ppo-lstm") == {"network.d_hidden", "network.d_model"}
    assert own("ppo-mlp") == {"network.d_model", "network.ffn_mult"}


def test_what_is_said_of_a_layer_counts_over_what_is_said_of_all(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text("search: {all: {network.d_model: {choices: [32]}}, M: {network.d_model: {choices: [64]}}}")
    widths = [load_space(agent, path, TASK)["network.d_model"].choices for agent in ("ppo-jamba", "ppo-lstm")]
    assert widths == [(64,), (32,)]


def test_what_belongs_to_the_task_is_tried_only_when_asked() -> None:
    assert "n_epochs" not in load_space("ppo-jamba", None, TASK, False, ())
    assert {"n_epochs", "sequence_length"} <= load_space("ppo-jamba", None, TASK, True, ()).keys()


def test_what_is_given_is_not_tried() -> None:
    assert "learning_rate" not in load_space("ppo-jamba", None, TASK, False, ["learning_rate=0.1"])


def test_layers_are_those_that_are_given() -> None:
    space = load_space("ppo-jamba", None, TASK, settings=["network.pattern=L"])
    assert {key for key in space if key.startswith("network.")} == {"network.d_hidden", "network.d_model"}
    with pytest.raises(UserError, match=r"ppo\.yaml: search\.all: network: num_heads 64 does not divide d_model 32"):
        load_space("ppo-jamba", None, TASK, settings=["network.num_heads=64"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "search: {all: {lerning_rate: {low: 1, high: 2}}}",
            "unknown key 'lerning_rate'; did you mean 'learning_rate'",
        ),
        ("search: {all: {network.windw: {choices: [4]}}}", "did you mean 'network.window'"),
        ("search: {all: {batch_size: {choices: [four]}}}", 'batch_size: must be a valid integer, was "four"'),
        ("search: {all: {network.pattern: {choices: [MX]}}}", "letter 'X' is unknown"),
        ("search: {all: {n_epochs: {choices: [1]}}}", "'n_epochs' belongs to the task: it goes under protocol"),
        ("search: {X: {}}", "'X' must be all, or layers out of M, A, S, L, G, P, N"),
        ("search: {all: {learning_rate: {low: 2, high: 1}}}", "low must be below high, was 2 and 1"),
        ("search: {all: {learning_rate: {low: 0, high: 1, log: true}}}", "log needs low above 0"),
        ("search: {all: {learning_rate: {low: 1}}}", "needs low and high, or choices"),
        ("search: {all: {learning_rate: {low: 1, high: .inf}}}", "high"),
        ("search: {all: {batch_size: {low: 1, high: 9, step: 3}}}", "step must lead from low to high, was 3 from 1 to"),
        ("search: {all: {batch_size: {low: 1, high: 3, step: 0.5}}}", "step must be whole where low and high are"),
        ("search: {all: {learning_rate: {choices: []}}}", "choices must be some, each once"),
        ("search: {all: {learning_rate: {choices: [1, 1]}}}", "choices must be some, each once"),
        ("search: {all: {learning_rate: {low: 1, choices: [1]}}}", "give low and high, or choices, not both"),
        ("search: {all: {learning_rate: {low: 1, hihg: 2}}}", "unknown key 'hihg'; did you mean 'high'"),
        ("search: {}\nprotocol: {gama: {choices: [1]}}", "did you mean 'protocol.ppo.gamma'"),
        ("search: {}\nprotocol: {n_envs: {choices: [1]}}", "n_envs cannot be tried"),
        ("search: {}", "nothing is left to try of agent 'ppo-jamba'; give other ranges"),
        ("serach: {}", "did you mean 'search'"),
    ],
)
def test_a_mistake_in_a_file_is_one_line_that_names_it(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_space("ppo-jamba", path, TASK, True, ())
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert said in message
    assert "\n" not in message


def test_values_are_drawn_within_their_ranges_and_keep_their_kind() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    whole, real = dimension(low=2, high=9), dimension(low=1e-4, high=1e-2, log=True)
    nets, stepped = dimension(choices=[[64, 64], None, 0.5]), dimension(low=8, high=32, step=8)
    for _ in range(30):
        trial = study.ask()
        drawn = whole.draw(trial, "whole")
        assert isinstance(drawn, int)
        assert 2 <= drawn <= 9
        assert 1e-4 <= real.draw(trial, "real") <= 1e-2
        assert nets.draw(trial, "nets") in ([64, 64], None, 0.5)
        assert stepped.draw(trial, "stepped") in (8, 16, 24, 32)
        assert whole.draw(trial, "whole") == drawn  # asked again, the same
