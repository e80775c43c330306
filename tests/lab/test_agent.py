from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from gymnasium import spaces

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError
from jamba_rl.lab.agent import ALGORITHMS, load_agent
from jamba_rl.lab.build import learned_parameters, policy_kwargs, sac_policy_kwargs
from jamba_rl.nn import JambaConfig
from jamba_rl.rl import JambaPolicy
from jamba_rl.rl.sac.policies import JambaPolicy as SACPolicy
from jamba_rl.tasks import load_task

TASK = load_task("pendulum-p")
BOX = spaces.Box(-1.0, 1.0, (6,))
ALL = catalogue.names("agents")
PPO_AGENTS = [name for name in ALL if load_agent(name).algorithm == "ppo"]
SAC_AGENTS = [name for name in ALL if load_agent(name).algorithm == "sac"]
COMPARED = [*PPO_AGENTS, *SAC_AGENTS]


def active_parameters(name: str, observations: int = 6) -> int:
    """Parameters that one step meets, of an agent's network for 6 actions."""
    agent, seen = load_agent(name), spaces.Box(-1.0, 1.0, (observations,))
    policy = JambaPolicy if agent.algorithm == "ppo" else SACPolicy
    kwargs = policy_kwargs(agent, TASK) if agent.algorithm == "ppo" else sac_policy_kwargs(agent, TASK)
    return learned_parameters(policy(seen, BOX, lambda _: 1e-3, **kwargs)).active


def test_there_are_agents_of_every_algorithm() -> None:
    assert {load_agent(name).algorithm for name in ALL} == set(ALGORITHMS)
    assert len(PPO_AGENTS) >= 9
    assert len(SAC_AGENTS) >= 8


@pytest.mark.parametrize("name", COMPARED)
def test_compared_agents_differ_in_what_they_remember_alone(name: str) -> None:
    own, algorithm = {"name", "description", "network", "frames"}, load_agent(name).algorithm
    assert load_agent(name).model_dump(exclude=own) == load_agent(f"{algorithm}-jamba").model_dump(exclude=own)


def test_an_agent_of_stock_ppo_differs_from_ours_in_what_stock_lacks_alone() -> None:
    ours, stock = load_agent("ppo-jamba").model_dump(), load_agent("ppo-jamba-window").model_dump()
    both = ours.keys() & stock.keys() - {"name", "description", "network", "algorithm"}
    assert {key: stock[key] for key in both} == {key: ours[key] for key in both}
    assert ours.keys() - stock.keys() == {
        *(
            "warm_up",
            "shared_encoder",
            "encoder_learning_rate_ratio",
            "previous_action",
            "observation_change",
            "observation_sum",
            "frames",
            "image_encoder",
        ),
    }
    assert stock.keys() - ours.keys() == {"history"}


@pytest.mark.parametrize("name", ALL)
def test_an_agents_file_holds_its_network_alone(name: str) -> None:
    kept = {"frames"} if name.endswith("framestack") else set()  # the memory of one whose network has none
    assert set(catalogue.load(catalogue.find("agents", name))) == {"description", "algorithm", "network"} | kept


def test_compared_agents_do_differ() -> None:
    for agents in (PPO_AGENTS, SAC_AGENTS):
        networks = [load_agent(name).network for name in agents]
        assert len(set(networks)) == len(networks)


@pytest.mark.parametrize("observations", [2, 6, 17], ids=["as pendulum-p", "as between", "as halfcheetah"])
def test_compared_agents_have_equal_parameters_within_a_tenth(observations: int) -> None:
    for agents in (PPO_AGENTS, SAC_AGENTS):
        sizes = {name: active_parameters(name, observations) for name in agents}
        assert max(sizes.values()) <= 1.1 * min(sizes.values()), sizes


def test_of_experts_a_step_meets_half() -> None:
    agent = load_agent("ppo-jamba-moe")
    policy = JambaPolicy(BOX, BOX, lambda _: 1e-3, **policy_kwargs(agent, TASK))
    size, network = learned_parameters(policy), agent.network
    assert "E" in network.ffn_pattern
    assert (network.num_experts, network.top_k, network.balance) == (4, 2, "switch")
    one_expert = 3 * network.d_model * network.d_ffn
    assert size.total - size.active == 2 * one_expert


def test_only_agents_of_recurrent_ppo_have_its_policy() -> None:
    with pytest.raises(UserError, match="agent 'sac-jamba-window' is none of RecurrentPPO"):
        policy_kwargs(load_agent("sac-jamba-window"), TASK)


def test_exploration_starts_as_the_protocol_says() -> None:
    ppo = TASK.protocol.ppo.model_copy(update={"log_std_init": -1.5})
    task = TASK.model_copy(update={"protocol": TASK.protocol.model_copy(update={"ppo": ppo})})
    policy = JambaPolicy(BOX, BOX, lambda _: 1e-3, **policy_kwargs(load_agent("ppo-jamba"), task))
    assert policy.log_std.tolist() == [-1.5] * 6


def test_an_agent_is_not_told_its_action_where_the_task_hides_it() -> None:
    hidden = load_task("parity-50")
    for name, kwargs in (("ppo-jamba", policy_kwargs), ("sac-jamba", sac_policy_kwargs)):
        assert kwargs(load_agent(name), TASK)["previous_action"] is None  # as its network wants
        assert kwargs(load_agent(name), hidden)["previous_action"] is False
        told = load_agent(name, {"previous_action": True})
        assert kwargs(told, hidden)["previous_action"] is True


def test_settings_go_over_the_files_and_the_rest_stays() -> None:
    plain, changed = load_agent("ppo-jamba"), load_agent("ppo-jamba", {"network": {"pattern": "MMA"}, "batch_size": 64})
    assert changed.network == dataclasses.replace(plain.network, pattern="MMA", num_layers=3)
    assert changed.model_copy(update={"network": plain.network, "batch_size": plain.batch_size}) == plain


@pytest.mark.parametrize("name", ALL)
def test_a_resolved_agent_is_read_back_as_it_was(name: str) -> None:
    agent = load_agent(name, {"network": {"num_layers": 3}})
    assert catalogue.check(type(agent), agent.model_dump(mode="json"), "") == agent


def test_a_file_of_ones_own_goes_over_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("algorithm: ppo\nnetwork: {pattern: G}\nlearning_rate: 1e-3\nnormalize: {rewards: false}\n")
    agent, plain = load_agent(str(path)), load_agent("ppo-jamba")
    assert (agent.name, agent.learning_rate, agent.network) == ("mine", 1e-3, JambaConfig(pattern="G"))
    assert (agent.normalize.rewards, agent.normalize.observations) == (False, True)
    assert agent.batch_size == plain.batch_size


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("network: {}\n", "key 'algorithm' is missing (valid: ppo, sac, sb3-ppo, sb3-sac)"),
        ("algorithm: ppo\nnetwork: {}\nn_epochs: 3\n", "'n_epochs' belongs to the task: protocol.ppo.n_epochs"),
        ("algorithm: pppo\nnetwork: {}\n", "did you mean 'ppo'"),
        ("algorithm: [ppo]\nnetwork: {}\n", "unknown algorithm"),
        ("algorithm: sb3-sca\nnetwork: {}\n", "did you mean 'sb3-sac'"),
        ("algorithm: sb3-sac\nnetwork: {}\nclip_range: 4\n", "unknown key 'clip_range'"),
        ("algorithm: sb3-sac\nnetwork: {}\nhistory: 0\n", "history: must be greater than 0, was 0"),
        ("algorithm: sb3-sac\nnetwork: {}\nent_coef: atuo\n", "ent_coef"),
        ("algorithm: sb3-ppo\nnetwork: {}\nframes: 4\n", "unknown key 'frames'"),
        ("algorithm: ppo\nnetwork: {}\nframes: 0\n", "frames: must be greater than 0, was 0"),
        ("algorithm: ppo\nnetwork: {}\nframes: 1.5\n", "frames: must be a valid integer, was 1.5"),
        ("algorithm: ppo\nnetwork: {}\nwarm_up: 2\n", "warm_up: must be less than or equal to 1, was 2"),
        ("algorithm: ppo\n", "key 'network' is missing"),
        ("algorithm: ppo\nnetwork: {patern: M}\n", "did you mean 'network.pattern'"),
        ("algorithm: ppo\nnetwork: {pattern: MX}\n", "letter 'X' is unknown"),
        ("algorithm: ppo\nnetwork: {}\nbatch_sise: 4\n", "did you mean 'batch_size'"),
        ("algorithm: ppo\nnetwork: {}\nbatch_size: four\n", 'batch_size: must be a valid integer, was "four"'),
        ("algorithm: ppo\nnetwork: {}\nbatch_size: true\n", "batch_size: must be a valid integer, was true"),
        ("algorithm: ppo\nnetwork: {d_model: 1.5}\n", "network.d_model: must be a valid integer, was 1.5"),
        ("algorithm: ppo\nnetwork: {}\npolicy: {activation: tan}\n", "policy.activation"),
    ],
)
def test_a_mistake_in_an_agent_is_one_line_with_file_and_key(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_agent(str(path))
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert said in message
    assert "\n" not in message


def test_an_agents_memory_must_not_grow_with_the_episode() -> None:
    with pytest.raises(UserError, match="network: window must be a number for an agent"):
        load_agent("ppo-jamba", {"network": {"window": None, "position": "rope"}})
    with pytest.raises(ValueError, match="give attention a window"):
        JambaPolicy(BOX, BOX, lambda _: 1e-3, network=JambaConfig(window=None, position="none"))
